//! `cargo xtask doctor`: what building and testing need, what is missing and the command that mends it.

use std::process::ExitCode;

use anyhow::Result;

use crate::toolchain::{self, Plan};
use crate::{command, packages};

/// One line of the report.
struct Finding {
    what: &'static str,
    /// What is there, or else what to do.
    state: Result<String, String>,
}

/// Prints the report. Fails if anything is missing.
pub(crate) fn run() -> Result<ExitCode> {
    let mut findings = vec![kernel_programs()];
    findings.extend(tools());
    for Finding { what, state } in &findings {
        match state {
            Ok(there) => println!("ok       {what}: {there}"),
            Err(advice) => println!("MISSING  {what}: {advice}"),
        }
    }
    let healthy = findings.iter().all(|finding| finding.state.is_ok());
    Ok(if healthy { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn kernel_programs() -> Finding {
    let facts = toolchain::facts();
    let state = match toolchain::plan(&facts) {
        Plan::Ready(toolchain) => Ok(toolchain.to_string()),
        Plan::Next(step) => Err(format!("cargo xtask build   (it will run: {step})")),
        Plan::Manual(commands) => {
            Err([toolchain::rejected(&facts), commands].concat().join("\n             "))
        }
    };
    Finding { what: "toolchain for the kernel programs", state }
}

fn tools() -> impl Iterator<Item = Finding> {
    packages::TEST_TOOLS.into_iter().map(|(program, package)| Finding {
        what: program,
        state: command::find(program)
            .map(|path| path.display().to_string())
            .ok_or_else(|| packages::install_command(&[package.to_owned()])),
    })
}
