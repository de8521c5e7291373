//! `cargo xtask doctor`: what building and testing need, what is missing and the command that mends it.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;

use crate::toolchain::{self, Plan};
use crate::{bpffs, command, packages};

/// The oldest kernel that Sluice runs on.
const OLDEST_KERNEL: (u32, u32) = (6, 1);

/// One line of the report.
struct Finding {
    what: &'static str,
    /// What is there, or else what to do.
    state: Result<String, String>,
}

/// Prints the report. Fails if anything is missing.
pub(crate) fn run() -> Result<ExitCode> {
    let findings: Vec<_> = building().into_iter().chain(testing()).collect();
    for Finding { what, state } in &findings {
        match state {
            Ok(there) => println!("ok       {what}: {there}"),
            Err(advice) => println!("MISSING  {what}: {advice}"),
        }
    }
    let healthy = findings.iter().all(|finding| finding.state.is_ok());
    Ok(if healthy { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn building() -> Vec<Finding> {
    vec![
        Finding { what: "kernel programs", state: kernel_programs() },
        Finding { what: "rustfmt", state: component("fmt", "rustfmt") },
        Finding { what: "clippy", state: component("clippy", "clippy") },
        Finding { what: "git", state: program("git", "git") },
    ]
}

fn testing() -> Vec<Finding> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut findings = vec![
        Finding { what: "kernel", state: kernel(release.trim()) },
        Finding { what: "kernel type information (BTF)", state: type_information() },
        Finding { what: "root", state: root() },
        Finding { what: "bpffs", state: mounted() },
    ];
    let tools = packages::TEST_TOOLS.into_iter().chain(packages::PROXIES).chain(packages::CONTAINERD);
    let tools = tools.chain(packages::SYSTEMD).chain(packages::GUEST_TOOLS).chain(packages::FUZZ_TOOLS);
    findings.extend(tools.map(|(what, package)| Finding { what, state: program(what, package) }));
    findings
}

fn kernel_programs() -> Result<String, String> {
    let facts = toolchain::facts();
    match toolchain::plan(&facts) {
        Plan::Ready(toolchain) => Ok(toolchain.to_string()),
        Plan::Next(step) => Err(format!("cargo xtask build   # it will run: {step}")),
        Plan::Manual(commands) => Err([toolchain::rejected(&facts), commands].concat().join("\n           ")),
    }
}

fn component(subcommand: &str, component: &str) -> Result<String, String> {
    command::ask(command::cargo().args([subcommand, "--version"]))
        .map(|version| version.trim().to_owned())
        .ok_or_else(|| format!("rustup component add {component}"))
}

fn program(program: &str, package: &str) -> Result<String, String> {
    command::find(program)
        .map(|path| path.display().to_string())
        .ok_or_else(|| packages::install_command(&[package.to_owned()]))
}

fn kernel(release: &str) -> Result<String, String> {
    let (major, minor) = OLDEST_KERNEL;
    match toolchain::version(release) {
        Some(found) if found >= OLDEST_KERNEL => Ok(release.to_owned()),
        _ => {
            Err(format!("{release} is older than {major}.{minor}; boot a newer one to run the kernel tests"))
        }
    }
}

fn type_information() -> Result<String, String> {
    let path = "/sys/kernel/btf/vmlinux";
    let there = Path::new(path).exists();
    there
        .then(|| path.to_owned())
        .ok_or_else(|| "boot a kernel built with CONFIG_DEBUG_INFO_BTF=y".to_owned())
}

fn root() -> Result<String, String> {
    let advice = "run `demo`, `test` and `bench` as root; `cargo xtask test unit` needs no privilege";
    packages::is_root().then(|| "yes".to_owned()).ok_or_else(|| advice.to_owned())
}

fn mounted() -> Result<String, String> {
    let mount = || format!("sudo {}   # demo, test and bench do it themselves", bpffs::MOUNT.join(" "));
    bpffs::is_mounted().then(|| bpffs::PATH.to_owned()).ok_or_else(mount)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_are_compared_by_number_and_not_by_text() {
        assert!(kernel("6.18.5-amd64").is_ok());
        assert!(kernel("6.1.0-44-amd64").is_ok());
        assert!(kernel("5.15.0").is_err());
        assert!(kernel("").is_err());
    }
}
