//! The command line: one file or folder a verb.
//!
//! Verbs gather facts at the edge and hand plain values to pure functions that judge, explain or print; those are
//! what the tests of this folder exercise.

mod agent_flags;
mod args;
mod bugreport;
pub mod check;
mod cleanup;
mod clock;
mod devices;
mod doctor;
mod error;
mod get;
mod http;
mod log_level;
mod monitor;
mod names;
mod output;
#[cfg(test)]
mod pages;
mod pins;
mod top;
mod trace;

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use clap::{CommandFactory as _, Parser as _, error::ErrorKind};

use self::args::{Command, Sluice};
pub use self::{error::CliError, trace::TraceError};
use crate::{agent, dataplane::pin::PinDir};

/// Runs the command line of this process.
///
/// Exit codes: 0 done, 1 failed (the reason stands on stderr), 2 wrong usage.
pub fn main() -> ExitCode {
    let sluice = Sluice::parse();
    let mut out = io::BufWriter::new(io::stdout().lock());
    let result = run(&sluice, &mut out).and_then(|code| {
        out.flush()?;
        Ok(code)
    });
    match result {
        Ok(code) => code,
        // `sluice get flows | head` closes the pipe when it has enough.
        Err(CliError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            error.exit_code()
        }
    }
}

fn run(sluice: &Sluice, out: &mut impl io::Write) -> Result<ExitCode, CliError> {
    let bpf_dir = &sluice.bpf_dir;
    match &sluice.command {
        Command::Agent(options) => Ok(agent::main(&PinDir::new(bpf_dir), options)),
        Command::Get(args) => get::run(bpf_dir, args, out),
        Command::Trace(args) => {
            let packet = args.packet().unwrap_or_else(|message| wrong_usage("trace", &message));
            trace::run(bpf_dir, args, &packet, out)
        }
        Command::Monitor(args) => monitor::run(bpf_dir, args, out),
        Command::Top(args) => top::run(bpf_dir, args, out),
        Command::LogLevel(args) => log_level::run(args, out),
        Command::Bugreport(args) => bugreport::run(bpf_dir, args, out),
        Command::Cleanup(args) => cleanup::run(bpf_dir, args, out),
        Command::Doctor(args) => doctor::run(bpf_dir, args, out),
        Command::Check(args) => {
            let errors = check::check(&args.filename, out)?;
            Ok(if errors == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Command::Completion(args) => {
            clap_complete::generate(args.shell, &mut Sluice::command(), "sluice", out);
            Ok(ExitCode::SUCCESS)
        }
        Command::Version => {
            writeln!(out, "sluice {}", env!("CARGO_PKG_VERSION"))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Ends the process as clap does for words that it refuses by itself, with the usage of the verb.
fn wrong_usage(verb: &str, message: &str) -> ! {
    let mut command = Sluice::command();
    command.build();
    let command = command.find_subcommand(verb).cloned().unwrap_or(command);
    command.clone().error(ErrorKind::ValueValidation, message).exit()
}
