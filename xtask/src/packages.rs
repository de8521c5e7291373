//! Debian's packages: which of those we need are missing, and putting them there.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use crate::{command, services};

/// What the demo and the kernel tests call: (program, Debian's package).
pub(crate) const TEST_TOOLS: [(&str, &str); 8] = [
    ("ip", "iproute2"),
    ("ethtool", "ethtool"),
    ("nft", "nftables"),
    ("bpftool", "bpftool"),
    ("ping", "iputils-ping"),
    ("tcpdump", "tcpdump"),
    ("curl", "curl"),
    ("openssl", "openssl"),
];

/// What the tests in a virtual machine call besides.
pub(crate) const GUEST_TOOLS: [(&str, &str); 3] =
    [("qemu-system-x86_64", "qemu-system-x86"), ("strip", "binutils"), ("timeout", "coreutils")];

/// What building the fuzz targets calls.
pub(crate) const FUZZ_TOOLS: [(&str, &str); 1] = [("c++", "g++")];

/// What tests and benchmarks compare sluice-ingress with. Each comes with a service, which has the name of the program.
pub(crate) const PROXIES: [(&str, &str); 2] = [("nginx", "nginx-light"), ("haproxy", "haproxy")];

/// What reads the units of `deploy/systemd`.
pub(crate) const SYSTEMD: [(&str, &str); 1] = [("systemd-analyze", "systemd")];

/// What tests run the images in, without the service that comes with it.
pub(crate) const CONTAINERD: [(&str, &str); 2] = [("containerd", "containerd"), ("ctr", "containerd")];

/// What the benchmarks call besides all these.
const BENCH_TOOLS: [(&str, &str); 2] = [("wrk", "wrk"), ("h2load", "nghttp2-client")];

/// True on Debian and what descends from it.
pub(crate) fn is_debian() -> bool {
    Path::new("/etc/debian_version").exists() && command::find("apt-get").is_some()
}

/// True if this process may install packages, load programs and make namespaces.
pub(crate) fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

/// True if dpkg says that the package is installed.
pub(crate) fn is_installed(package: &str) -> bool {
    let mut query = Command::new("dpkg-query");
    query.args(["--show", "--showformat=${db:Status-Status}", package]);
    command::ask(&mut query).is_some_and(|status| status == "installed")
}

/// Installs what the demo and the tests call, or says how to; not the proxies of others.
pub(crate) fn ensure_test_tools() -> Result<()> {
    ensure_tools(&TEST_TOOLS)
}

/// Installs what the tests in a virtual machine call.
pub(crate) fn ensure_guest_tools() -> Result<()> {
    ensure_tools(&GUEST_TOOLS)
}

/// Installs the proxies of others.
pub(crate) fn ensure_proxies() -> Result<()> {
    ensure_without_services(&PROXIES)
}

/// Installs what runs images.
pub(crate) fn ensure_containerd() -> Result<()> {
    ensure_without_services(&CONTAINERD)
}

/// As [`ensure_tools`], where each package has a service of its name, which is not started, now or later.
fn ensure_without_services(tools: &[(&str, &str)]) -> Result<()> {
    let new: Vec<_> =
        tools.iter().map(|(program, _)| *program).filter(|name| command::find(name).is_none()).collect();
    let denied = if new.is_empty() { None } else { Some(services::Denied::for_now()?) };
    ensure_tools(tools)?;
    drop(denied);
    new.into_iter().try_for_each(services::disable)
}

/// Installs what the benchmarks call.
pub(crate) fn ensure_bench_tools() -> Result<()> {
    ensure_test_tools()?;
    ensure_proxies()?;
    ensure_tools(&BENCH_TOOLS)
}

/// Installs those of the tools that are not in `PATH`, or says how to.
pub(crate) fn ensure_tools(tools: &[(&str, &str)]) -> Result<()> {
    let missing: Vec<_> = tools.iter().filter(|(program, _)| command::find(program).is_none()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let packages: BTreeSet<_> = missing.iter().map(|(_, package)| (*package).to_owned()).collect();
    let packages: Vec<_> = packages.into_iter().collect();
    if is_debian() && is_root() {
        return install(&packages);
    }
    let programs: Vec<_> = missing.iter().map(|(program, _)| *program).collect();
    bail!("missing: {}; install them: {}", programs.join(", "), install_command(&packages));
}

/// Installs those of the packages that dpkg does not know, or says how to.
pub(crate) fn ensure(packages: &[&str]) -> Result<()> {
    let missing = packages.iter().filter(|package| !is_installed(package));
    let missing: Vec<_> = missing.map(|package| (*package).to_owned()).collect();
    if missing.is_empty() || (is_debian() && is_root()) {
        return if missing.is_empty() { Ok(()) } else { install(&missing) };
    }
    bail!("needed on Debian: {}; elsewhere the packages that go by other names", install_command(&missing));
}

/// Installs packages, after saying so. Never removes one to make room: that is the owner's decision.
pub(crate) fn install(packages: &[String]) -> Result<()> {
    eprintln!("sluice needs packages that this machine lacks; installing: {}", packages.join(" "));
    update()?;
    command::run(
        apt_get().args(["install", "--yes", "--no-remove", "--no-install-recommends"]).args(packages),
    )
}

/// Fetches the lists of what Debian has.
pub(crate) fn update() -> Result<()> {
    command::run(apt_get().arg("update"))
}

/// The command that a user types to install packages.
pub(crate) fn install_command(packages: &[String]) -> String {
    format!("sudo apt-get update && sudo apt-get install --no-install-recommends {}", packages.join(" "))
}

fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command
}
