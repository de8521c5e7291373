//! `sluice monitor`: events of the packet path as they happen.

mod args;
mod filter;
mod line;
mod names;

use std::{io, path::Path, process::ExitCode, time::Duration};

use tokio::{
    signal::unix::{SignalKind, signal},
    time::{Instant, MissedTickBehavior, interval},
};

pub(crate) use self::args::MonitorArgs;
use self::{args::Output, filter::Filter, line::Line, names::Names};
use super::{CliError, output, pins};
use crate::dataplane::{
    monitor::{LeftOut, Tap, TapError},
    pin::PinDir,
};

/// How often the ring is looked at: nobody wakes this process, for that would cost packets more than the event does.
const LOOK: Duration = Duration::from_millis(10);
/// How often the kernel's leave to tell is renewed, and what was left out is said.
const RENEW: Duration = Duration::from_secs(1);

/// Runs the verb until SIGINT or SIGTERM, or until `--count` events were shown.
pub(crate) fn run(
    bpf_dir: &Path,
    args: &MonitorArgs,
    out: &mut impl io::Write,
) -> Result<ExitCode, CliError> {
    let dir = PinDir::new(bpf_dir);
    let names = Names::new(pins::open(&dir)?);
    let tap = Tap::open(&dir, args.wanted())?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(CliError::Runtime)?;
    let mut session = Session { tap, names, filter: args.filter(), format: args.output, shown: 0 };
    runtime.block_on(session.follow(args.count.unwrap_or(u64::MAX), out))?;
    Ok(ExitCode::SUCCESS)
}

struct Session {
    tap: Tap,
    names: Names,
    filter: Filter,
    format: Output,
    shown: u64,
}

impl Session {
    async fn follow(&mut self, count: u64, out: &mut impl io::Write) -> Result<(), CliError> {
        let mut interrupt = signal(SignalKind::interrupt()).map_err(CliError::Runtime)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(CliError::Runtime)?;
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut renewed, mut said) = (Instant::now(), LeftOut::default());
        if self.format == Output::Text {
            eprintln!("Listening; Ctrl-C ends. Times are UTC.");
        }
        loop {
            tokio::select! {
                _ = interrupt.recv() => break,
                _ = terminate.recv() => break,
                _ = look.tick() => {}
            }
            self.show(count, out)?;
            let due = renewed.elapsed() >= RENEW;
            if due {
                self.tap.renew()?;
                renewed = Instant::now();
            }
            if due || self.shown >= count {
                said = self.say_left_out(said, out)?;
            }
            out.flush()?;
            if self.shown >= count {
                return Ok(());
            }
        }
        self.show(count, out)?;
        self.say_left_out(said, out)?;
        Ok(())
    }

    /// Shows what is in the ring, and no more than `count` events in all.
    fn show(&mut self, count: u64, out: &mut impl io::Write) -> Result<(), CliError> {
        self.names.refresh();
        while self.shown < count
            && let Some(event) = self.tap.take()
        {
            let line = Line::new(&event, &mut self.names)?;
            if self.filter.takes(&line) {
                match self.format {
                    Output::Text => writeln!(out, "{line}")?,
                    Output::Json => output::print_json_line(out, &line)?,
                }
                self.shown += 1;
            }
        }
        Ok(())
    }

    /// Says what was left out since it was last said.
    fn say_left_out(&self, said: LeftOut, out: &mut impl io::Write) -> Result<LeftOut, CliError> {
        let now = self.tap.left_out().map_err(|error: TapError| CliError::from(error))?;
        let LeftOut { rate, ring_full } = now.since(said);
        if rate + ring_full > 0 {
            match self.format {
                Output::Text => writeln!(
                    out,
                    "… {} events left out ({rate} above --rate, {ring_full} for want of room)",
                    rate + ring_full
                )?,
                Output::Json => output::print_json_line(out, &line::left_out(rate, ring_full))?,
            }
        }
        Ok(now)
    }
}
