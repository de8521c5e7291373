//! A fault, what it may cost, and what it did cost.

use std::fmt;

use anyhow::{Context, Result, ensure};

use super::{Load, Tally, World};

/// Something that goes wrong under load.
#[derive(Clone, Copy)]
pub struct Fault {
    /// Its name, as `docs/survival.md` has it.
    pub name: &'static str,
    /// Long-lived connections that may break.
    pub streams: u64,
    /// New connections that may fail.
    pub connections: u64,
    /// Datagrams of the load may be lost beside those that were sent while no packet could get through.
    pub datagrams: u64,
    /// Makes it happen and puts everything right again. Tells how many datagrams were sent while no packet could get
    /// through.
    pub(super) happen: fn(&mut World, &Load) -> Result<u64>,
}

impl Fault {
    /// A fault that costs nothing.
    pub(super) const fn lossless(name: &'static str, happen: fn(&mut World, &Load) -> Result<u64>) -> Self {
        Self { name, streams: 0, connections: 0, datagrams: 0, happen }
    }

    /// Has it happen under load, and counts what was lost since the fault before, once all is quiet again.
    ///
    /// # Errors
    /// Where it cannot be made to happen, or the load does not recover.
    pub fn inject(&self, world: &mut World, load: &Load) -> Result<Outcome> {
        load.settle()?;
        let meanwhile = (self.happen)(world, load).with_context(|| format!("fault `{}`", self.name))?;
        load.settle().with_context(|| format!("after `{}`: {:?}", self.name, load.notes()))?;
        Ok(Outcome { fault: *self, tally: load.uncounted(), meanwhile, notes: load.notes() })
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// What a fault cost.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The fault.
    pub fault: Fault,
    /// What the load did meanwhile.
    pub tally: Tally,
    /// Datagrams that were sent while no packet could get through.
    pub meanwhile: u64,
    /// What went wrong, in words.
    pub notes: Vec<String>,
}

impl Outcome {
    /// Checks that it cost no more than the document says.
    ///
    /// # Errors
    /// Where it did.
    pub fn check(&self) -> Result<()> {
        let Self { fault, tally, meanwhile, notes } = self;
        let delays = fault.connections > 0 || *meanwhile > 0;
        let within = (delays || tally.connections_delayed == 0)
            && tally.connections_failed <= fault.connections
            && tally.streams_broken <= fault.streams
            && tally.datagrams_lost <= fault.datagrams + meanwhile;
        ensure!(
            within,
            "`{}` may break {} streams, {} new connections and lose {} datagrams, and delay none where it breaks none; \
             {tally:?}; {notes:?}",
            fault.name,
            fault.streams,
            fault.connections,
            fault.datagrams + meanwhile
        );
        Ok(())
    }
}
