//! `cargo xtask test --soak`: faults for minutes or hours, with an older release to go back to and to upgrade from.

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};

use crate::{build, command, workspace};

/// The last commit before layout 4: its pins do not carry the versions of maps.
const OLDER_RELEASE: &str = "26343c37bc3dbc127c2c3eaacdff95bfddadcc3a";

/// Runs it for so many minutes. The older release is built once for each machine.
pub(super) fn run(minutes: u64, fault: Option<&str>, seed: Option<u64>) -> Result<ExitCode> {
    build::test_programs()?;
    let older = older_release()?;
    let mut soak = Command::new(build::release("soak"));
    soak.env("SLUICE_BIN", build::release("sluice")).args(["--minutes", &minutes.to_string()]);
    soak.arg("--older-release").arg(older);
    if let Some(fault) = fault {
        soak.args(["--fault", fault]);
    }
    if let Some(seed) = seed {
        soak.args(["--seed", &seed.to_string()]);
    }
    let status = command::status(&mut soak)?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The program of the older release, from a worktree under `target`.
fn older_release() -> Result<PathBuf> {
    let worktree = workspace::root().join("target/soak").join(OLDER_RELEASE);
    let program = worktree.join("target/debug/sluice");
    if program.is_file() {
        return Ok(program);
    }
    let known = command::ask(git().args(["cat-file", "-t", OLDER_RELEASE])).is_some();
    ensure!(
        known,
        "git does not have {OLDER_RELEASE}, which the soak goes back to: `git fetch --unshallow`, or fetch that commit"
    );
    if !worktree.is_dir() {
        command::run(
            git().args(["worktree", "add", "--force", "--detach"]).arg(&worktree).arg(OLDER_RELEASE),
        )?;
    }
    let cargo = |words: &[&str]| {
        let mut cargo = command::cargo();
        // Its target folder is its own, wherever ours is.
        cargo.current_dir(&worktree).env_remove("CARGO_TARGET_DIR").args(words);
        command::run(&mut cargo)
    };
    cargo(&["xtask", "build", "--bpf-only"])?;
    cargo(&["build", "--package", "lb-userspace", "--bin", "sluice"])?;
    program.is_file().then_some(program).context("the older release was built, and is not there")
}

fn git() -> Command {
    let mut git = Command::new("git");
    git.current_dir(workspace::root());
    git
}
