//! `cargo xtask build`: the kernel programs, then the program that embeds them.

use std::path::PathBuf;

use anyhow::Result;

use crate::{command, ebpf, workspace};

/// Builds everything in release mode; the path of the `sluice` program.
pub(crate) fn run() -> Result<PathBuf> {
    ebpf::build()?;
    command::run(command::cargo().args([
        "build",
        "--release",
        "--package",
        "lb-userspace",
        "--bin",
        "sluice",
    ]))?;
    let program = release("sluice");
    eprintln!("built {}", program.display());
    Ok(program)
}

/// Builds the programs of lb-tests. In release mode like `sluice`, so that both share their dependencies.
pub(crate) fn test_programs() -> Result<()> {
    command::run(command::cargo().args(["build", "--release", "--package", "lb-tests", "--bins"]))
}

/// The path of a program built in release mode.
pub(crate) fn release(program: &str) -> PathBuf {
    workspace::target_dir().join("release").join(program)
}
