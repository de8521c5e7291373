//! `cargo xtask lint`: every check runs to its end, so that one run shows everything there is to mend.

mod dependencies;
mod licence;
mod texts;

use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::{command, docs};

type Check = fn() -> Result<()>;

const CHECKS: [(&str, Check); 6] = [
    ("formatting", formatting),
    ("clippy", clippy),
    ("documentation", documentation),
    ("generated pages", docs::check),
    ("dependencies", dependencies::check),
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
    command::run(command::cargo().args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))
}

fn documentation() -> Result<()> {
    let mut doc = command::cargo();
    command::run(doc.env("RUSTDOCFLAGS", "-D warnings").args(["doc", "--workspace", "--no-deps"]))
}

/// Fails with one line per problem.
fn report(problems: &[String]) -> Result<()> {
    if !problems.is_empty() {
        bail!("\n  {}", problems.join("\n  "));
    }
    Ok(())
}
