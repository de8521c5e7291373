//! The verbs and their arguments.

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use crate::{build, doctor, ebpf};

/// Builds, tests, measures and shows Sluice.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Verb {
    /// Build the kernel programs and the `sluice` program in release mode.
    Build {
        /// Build the kernel programs only.
        #[arg(long)]
        bpf_only: bool,
    },
    /// Say what building and testing need, what is missing and how to mend it.
    Doctor,
}

/// Runs the verb named on the command line. 0: it succeeded; 1: it did not; 2: the arguments are wrong.
pub(crate) fn run() -> ExitCode {
    match dispatch(Verb::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(verb: Verb) -> Result<ExitCode> {
    match verb {
        Verb::Build { bpf_only: true } => ebpf::build().map(|_| ExitCode::SUCCESS),
        Verb::Build { bpf_only: false } => build::run().map(|_| ExitCode::SUCCESS),
        Verb::Doctor => doctor::run(),
    }
}
