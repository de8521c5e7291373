//! `cargo xtask bench`: builds and runs the benchmarks of lb-tests.

use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Result, ensure};

use crate::{bpffs, build, command, packages};

/// Runs the benchmarks in the user's folder, so that a relative `--json FILE` lands where it is expected.
pub(crate) fn run(json: Option<&Path>, args: &[String]) -> Result<ExitCode> {
    ensure!(
        packages::is_root(),
        "the benchmarks load programs and make network namespaces: run them as root"
    );
    packages::ensure_bench_tools()?;
    bpffs::ensure()?;
    let sluice = build::run()?;
    build::test_programs()?;
    let mut bench = Command::new(build::release("bench"));
    bench.env("SLUICE_BIN", sluice).env("SLUICE_INGRESS_BIN", build::release("sluice-ingress")).args(args);
    if let Some(file) = json {
        bench.arg("--json").arg(file);
    }
    command::run(&mut bench)?;
    Ok(ExitCode::SUCCESS)
}
