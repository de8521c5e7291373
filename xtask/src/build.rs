//! `cargo xtask build`: the kernel programs, then the program that embeds them.

use std::path::PathBuf;

use anyhow::Result;

use crate::{command, ebpf, workspace};

/// Builds everything in release mode; the path of the `sluice` program.
pub(crate) fn run() -> Result<PathBuf> {
    ebpf::build()?;
    let programs = ["--package", "lb-userspace", "--package", "lb-proxy", "--bins"];
    command::run(command::cargo().args(["build", "--release"]).args(programs))?;
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
