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
    let program = workspace::target_dir().join("release/sluice");
    eprintln!("built {}", program.display());
    Ok(program)
}
