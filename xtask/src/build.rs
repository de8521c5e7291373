//! `cargo xtask build`: the kernel programs, then the programs that embed them.
//!
//! They are linked statically: what tests run, benchmarks measure and images hold is one and the same file, and needs
//! nothing of the machine that it runs on but its kernel.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, ffi::OsString};

use anyhow::{Context, Result, bail};

use crate::architecture::Architecture;
use crate::{command, ebpf, packages, workspace};

/// The packages whose programs are shipped.
const SHIPPED: [&str; 5] = ["--package", "lb-userspace", "--package", "lb-proxy", "--bins"];

/// Builds everything in release mode; the path of the `sluice` program.
pub(crate) fn run() -> Result<PathBuf> {
    shipped(Architecture::HOST)?;
    let program = release("sluice");
    eprintln!("built {}", program.display());
    Ok(program)
}

/// Builds the kernel programs, which are the same for every little-endian processor, and the programs that are shipped;
/// the folder that these are in.
pub(crate) fn shipped(architecture: Architecture) -> Result<PathBuf> {
    ebpf::build()?;
    if let Some((_, packages)) = architecture.cross_tools() {
        packages::ensure(&packages)?;
        ensure_standard_library(architecture)?;
    }
    command::run(cargo(architecture).args(SHIPPED))?;
    Ok(folder(architecture))
}

/// Builds the programs of lb-tests. In release mode like `sluice`, so that both share their dependencies.
pub(crate) fn test_programs() -> Result<()> {
    command::run(cargo(Architecture::HOST).args(["--package", "lb-tests", "--bins"]))
}

/// The path of a program built in release mode.
pub(crate) fn release(program: &str) -> PathBuf {
    folder(Architecture::HOST).join(program)
}

fn folder(architecture: Architecture) -> PathBuf {
    workspace::target_dir().join(architecture.target()).join("release")
}

fn cargo(architecture: Architecture) -> Command {
    let target = architecture.target();
    let mut cargo = command::cargo();
    // With a target named, these flags are not those of build scripts and macros, which cannot be linked so.
    cargo.args(["build", "--release", "--target", target]);
    cargo.args(["--config", &format!("target.{target}.rustflags={:?}", flags())]);
    if let Some((prefix, _)) = architecture.cross_tools() {
        cargo.args(["--config", &format!("target.{target}.linker=\"{prefix}gcc\"")]);
    }
    cargo
}

/// Panics name the file that they happened in: not by where a user keeps it, so that equal sources make equal programs.
fn flags() -> Vec<String> {
    let home = env::var_os("CARGO_HOME")
        .or_else(|| env::home_dir().map(|home| home.join(".cargo").into_os_string()))
        .unwrap_or_else(|| OsString::from(".cargo"));
    let remap = |from: &Path, to: &str| format!("--remap-path-prefix={}={to}", from.display());
    vec![
        "-Ctarget-feature=+crt-static".to_owned(),
        remap(workspace::root(), "/sluice"),
        remap(&Path::new(&home).join("registry/src"), "/registry"),
    ]
}

/// Rust's standard library for another processor comes from rustup alone.
fn ensure_standard_library(architecture: Architecture) -> Result<()> {
    let target = architecture.target();
    let mut rustc = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    rustc.current_dir(workspace::root()).args(["--print", "target-libdir", "--target", target]);
    let folder = command::ask(&mut rustc).context("rustc does not run")?;
    if Path::new(folder.trim()).exists() {
        return Ok(());
    }
    match command::find("rustup") {
        Some(rustup) => {
            command::run(Command::new(rustup).current_dir(workspace::root()).args(["target", "add", target]))
        }
        None => bail!("no standard library for {target}: it comes with rustup, which is not here"),
    }
}
