//! Logs on standard error: text for people, JSON for collectors.

use std::{
    env,
    io::{self, IsTerminal},
};

use tracing_subscriber::{EnvFilter, fmt};

/// Starts logging. `SLUICE_LOG`, else `RUST_LOG`, chooses what is logged.
pub(crate) fn start() {
    let filter = env::var("SLUICE_LOG").or_else(|_| env::var("RUST_LOG")).unwrap_or_default();
    let builder = fmt().with_env_filter(parse(&filter)).with_writer(io::stderr).with_target(false);
    // Fails only where a subscriber was set before: then logs go there.
    let _ = if io::stderr().is_terminal() {
        builder.try_init()
    } else {
        builder.json().flatten_event(true).try_init()
    };
}

fn parse(filter: &str) -> EnvFilter {
    let default = || EnvFilter::new("info");
    if filter.is_empty() {
        return default();
    }
    filter.parse().unwrap_or_else(|error| {
        eprintln!("warning: `{filter}` is no log filter ({error}); using `info`");
        default()
    })
}
