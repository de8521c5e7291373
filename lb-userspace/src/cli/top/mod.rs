//! `sluice top`: what each Service is doing right now.

mod args;
mod plain;
mod rates;
mod reading;
mod screen;

use std::{
    io::{self, IsTerminal as _},
    path::Path,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use signal_hook::consts::SIGTERM;

pub(crate) use self::args::TopArgs;
use self::reading::Reading;
use super::{CliError, pins};
use crate::dataplane::pin::PinDir;

/// Runs the verb: on the whole terminal if there is one, else a table after the other.
pub(crate) fn run(bpf_dir: &Path, args: &TopArgs, out: &mut impl io::Write) -> Result<ExitCode, CliError> {
    let pinned = pins::open(&PinDir::new(bpf_dir))?;
    let stop = Stop::on_signal()?;
    let first = Reading::take(&pinned)?;
    if io::stdout().is_terminal() && !args.plain && args.iterations().is_none() {
        screen::run(&pinned, args, first, &stop)?;
    } else {
        plain::run(&pinned, args, first, &stop, out)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Whether the process was asked to end: a terminal must be given back first.
struct Stop(Arc<AtomicBool>);

impl Stop {
    fn on_signal() -> Result<Self, CliError> {
        let stop = Arc::new(AtomicBool::new(false));
        signal_hook::flag::register(SIGTERM, stop.clone()).map_err(CliError::Runtime)?;
        Ok(Self(stop))
    }

    fn is_asked_for(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
