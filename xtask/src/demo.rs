//! `cargo xtask demo`: sets the machine up, builds, and runs the demo of lb-tests.

use std::process::{Command, ExitCode};

use anyhow::{Result, ensure};

use crate::{bpffs, build, command, packages};

/// Runs the demo; it fails if the demo does.
pub(crate) fn run(keep: bool) -> Result<ExitCode> {
    ensure!(packages::is_root(), "the demo makes network namespaces and loads programs: run it as root");
    packages::ensure_test_tools()?;
    bpffs::ensure()?;
    let sluice = build::run()?;
    build::test_programs()?;
    let mut demo = Command::new(build::release("demo"));
    demo.env("SLUICE_BIN", sluice);
    if keep {
        demo.arg("--keep");
    }
    command::run(&mut demo)?;
    Ok(ExitCode::SUCCESS)
}
