//! `sluice log-level`: how much a running agent or proxy logs.

use std::{io, net::SocketAddr, process::ExitCode};

use clap::Args;

use super::{CliError, http};

/// `sluice log-level`.
#[derive(Debug, Args)]
pub(crate) struct LogLevelArgs {
    /// off, error, warn, info, debug or trace, or TARGET=LEVEL, separated by commas [default: show the level].
    level: Option<String>,
    /// --admin of the program, by its loopback address; sluice-ingress answers on its own, 127.0.0.1:9480.
    #[arg(
        long,
        env = "SLUICE_ADMIN",
        hide_env_values = true,
        value_name = "ADDR",
        default_value = "127.0.0.1:9470"
    )]
    admin: SocketAddr,
}

/// Runs the verb: prints the level that is in force.
pub(crate) fn run(args: &LogLevelArgs, out: &mut impl io::Write) -> Result<ExitCode, CliError> {
    let address = args.admin;
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
