//! `cargo xtask lint`: every check runs to its end, so that one run shows everything there is to mend.

mod dependencies;
mod faults;
mod licence;
mod texts;

use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};

use crate::{charts, command, docs, workspace};

type Check = fn() -> Result<()>;

const CHECKS: [(&str, Check); 8] = [
    ("formatting", formatting),
    ("clippy", clippy),
    ("documentation", documentation),
    ("generated pages", docs::check),
    ("generated chart", charts::check),
    ("dependencies", dependencies::check),
    ("faults and their tests", faults::check),
    ("texts", texts::check),
];

/// Runs all checks; fails if one does.
pub(crate) fn run() -> Result<ExitCode> {
    let mut failed = Vec::new();
    for (name, check) in CHECKS {
        if let Err(error) = check() {
            eprintln!("error: {name}: {error:#}");
            failed.push(name);
        }
    }
    if failed.is_empty() {
        eprintln!("lint: clean");
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("lint: failed: {}", failed.join(", "));
    Ok(ExitCode::FAILURE)
}

fn formatting() -> Result<()> {
    command::run(command::cargo().args(["fmt", "--all", "--check"]))
}

fn clippy() -> Result<()> {
    let clippy = |targets: &[&str]| {
        command::run(command::cargo().arg("clippy").args(targets).args(["--", "-D", "warnings"]))
    };
    clippy(&["--workspace", "--all-targets"])?;
    // It has `test = false`, so "all" are without it.
    clippy(&["--package", "lb-tests", "--test", "guest"])
}

fn documentation() -> Result<()> {
    let mut doc = command::cargo();
    command::run(doc.env("RUSTDOCFLAGS", "-D warnings").args(["doc", "--workspace", "--no-deps"]))
}

/// Every file that is or will be in the repository, by its path from the root.
fn files() -> Result<Vec<String>> {
    let mut ls = Command::new("git");
    ls.current_dir(workspace::root());
    ls.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    let files =
        command::ask(&mut ls).context("cannot list the files: is this a git checkout, and git installed?")?;
    Ok(files.split('\0').filter(|name| !name.is_empty()).map(str::to_owned).collect())
}

/// Fails with one line per problem.
fn report(problems: &[String]) -> Result<()> {
    if !problems.is_empty() {
        bail!("\n  {}", problems.join("\n  "));
    }
    Ok(())
}
