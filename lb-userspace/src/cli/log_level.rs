//! `sluice log-level`: how much a running agent or proxy logs.

use std::{io, process::ExitCode};

use clap::Args;

use super::{CliError, agent_flags::AdminFlag, http};

/// `sluice log-level`.
#[derive(Debug, Args)]
#[command(after_help = "sluice-ingress answers too, on an address of its own: --admin 127.0.0.1:9480.")]
pub(crate) struct LogLevelArgs {
    /// off, error, warn, info, debug or trace, or TARGET=LEVEL, separated by commas [default: show the level].
    level: Option<String>,
    /// The agent, or the proxy.
    #[command(flatten)]
    program: AdminFlag,
}

/// Runs the verb: prints the level that is in force.
pub(crate) fn run(args: &LogLevelArgs, out: &mut impl io::Write) -> Result<ExitCode, CliError> {
    let Some(address) = args.program.admin.0 else {
        let message = "--admin (SLUICE_ADMIN) is `none`: nobody answers there; start the agent with an address, or name the proxy's by --admin ADDRESS:PORT";
        return Err(CliError::Refused { message: message.to_owned() });
    };
    let answer = match &args.level {
        Some(level) => http::ask(address, "PUT", "/log-level", level),
        None => http::ask(address, "GET", "/log-level", ""),
    };
    let answer = answer.map_err(|source| CliError::Admin { address, source })?;
    if answer.status != 200 {
        return Err(CliError::Refused { message: answer.body.trim_end().to_owned() });
    }
    out.write_all(answer.body.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}
