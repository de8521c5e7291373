//! Every fault again and again, in random order, under load that is held throughout.

use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Result, bail, ensure};
use fastrand::Rng;

use super::{FAULTS, Fault, World, older_release, report::Report};

/// What a soak is to do.
#[derive(Clone, Debug)]
pub struct Soak {
    /// How long; the faults of a round that has begun are gone through.
    pub time: Duration,
    /// Only faults whose names have this text in them; all without.
    pub fault: Option<String>,
    /// Where the order of the faults begins.
    pub seed: u64,
    /// The program of an older release, to go back to and to upgrade from.
    pub older_release: Option<PathBuf>,
}

impl Soak {
    /// Runs it, and prints what it held, injected and lost.
    ///
    /// # Errors
    /// Where something cost more than `docs/survival.md` allows, or did not recover.
    pub fn run(self) -> Result<()> {
        println!(
            "soak of {} s with seed {}; machine load {}",
            self.time.as_secs(),
            self.seed,
            machine_load()
        );
        let mut faults = self.faults()?;
        let mut world = World::new()?;
        world.outage = self.time / u32::try_from(faults.len())?;
        if let Some(program) = self.older_release {
            world.set_older_release(program);
        }
        let load = world.load()?;
        let (mut random, mut report, begun) = (Rng::with_seed(self.seed), Report::default(), Instant::now());
        while begun.elapsed() < self.time {
            random.shuffle(&mut faults);
            for fault in &faults {
                let outcome = fault.inject(&mut world, &load)?;
                println!("{:5.0} s  {}", begun.elapsed().as_secs_f64(), fault.name);
                outcome.notes.iter().for_each(|note| println!("         {note}"));
                report.add(&outcome);
            }
        }
        let (total, time) = (load.tally(), begun.elapsed());
        let end = load.finish();
        println!(
            "\n{}\nMachine load at the end: {}.\n\n{report}",
            Report::load(&total, time),
            machine_load()
        );
        let failures = report.failures();
        if !failures.is_empty() {
            bail!("more was lost than may be:\n{}", failures.join("\n"));
        }
        ensure!(end.is_whole(), "after the last fault something was lost: {end:?}");
        Ok(())
    }

    /// Those that it is asked for.
    fn faults(&self) -> Result<Vec<Fault>> {
        let mut faults: Vec<Fault> = FAULTS.into();
        if self.older_release.is_some() {
            faults.push(older_release());
        } else if self.fault.is_none() {
            println!("NOT RUN: {}: no program of an older release", older_release().name);
        }
        if let Some(text) = &self.fault {
            faults.retain(|fault| fault.name.contains(text));
            ensure!(!faults.is_empty(), "no fault has `{text}` in its name; docs/survival.md has them all");
        }
        Ok(faults)
    }
}

/// The first three words of /proc/loadavg.
fn machine_load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().take(3).collect::<Vec<_>>().join(" ")
}
