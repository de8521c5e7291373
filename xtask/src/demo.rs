//! `cargo xtask demo`: sets the machine up, builds, and runs the demo of lb-tests.

use std::process::{Command, ExitCode};

use anyhow::{Result, ensure};

use crate::{bpffs, build, command, packages};

/// Runs the demo; it fails if the demo does.
pub(crate) fn run(args: &[&str]) -> Result<ExitCode> {
    ensure!(packages::is_root(), "the demo makes network namespaces and loads programs: run it as root");
    packages::ensure_test_tools()?;
    bpffs::ensure()?;
    let sluice = build::run()?;
    build::test_programs()?;
    let mut demo = Command::new(build::release("demo"));
    command::run(
        demo.env("SLUICE_BIN", sluice).env("SLUICE_INGRESS_BIN", build::release("sluice-ingress")).args(args),
    )?;
    Ok(ExitCode::SUCCESS)
}
