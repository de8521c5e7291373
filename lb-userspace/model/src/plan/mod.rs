//! From what the maps hold to what they should hold, one write at a time, with service going on after each.

mod diff;
mod entry;
mod ids;
mod indices;
mod rings;
mod round;
mod runs;
mod settled;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use crate::{
    desired::Desired,
    object::Refusal,
    op::{Capacity, Op, Tables},
};

/// Rounds of one plan at most: what a full map frees in one round is given away in the next.
const ROUNDS: usize = 8;

/// What to write, and what finds no room.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The writes, in order. After a write that fails, stop and plan anew: later ones build on it. Where the last
    /// is [`Op::RaiseEpoch`] and it, or any write before it, failed, raise the epoch after the next plan all the
    /// same.
    pub ops: Vec<Op>,
    /// Service ports that do not fit into the maps.
    pub refusals: Vec<Refusal>,
}

/// Plans, and remembers what it built: the rings, and the last plan as a place to start from. A planner with memory
/// answers as one without.
#[derive(Debug, Default)]
pub struct Planner {
    rings: rings::Rings,
    settled: Option<settled::Settled>,
}

impl Planner {
    /// The way from `tables` to `desired`.
    ///
    /// Backend indices, service ids and rings in `tables` are kept where they still fit.
    pub fn plan(&mut self, desired: &Desired, tables: &Tables, capacity: Capacity) -> Plan {
        if let Some(mut settled) = self.settled.take()
            && let Some(ops) = settled.advance(desired, tables, capacity, &mut self.rings)
        {
            self.settled = Some(settled);
            return Plan { ops, refusals: Vec::new() };
        }
        self.rings.forget_others(desired);
        let plan = full(desired, tables, capacity, &mut self.rings);
        if plan.refusals.is_empty() {
            self.settled = Some(settled::Settled::new(desired, tables.clone(), &plan.ops, capacity));
        }
        plan
    }
}

/// Looks at everything.
fn full(desired: &Desired, tables: &Tables, capacity: Capacity, rings: &mut rings::Rings) -> Plan {
    let mut plan = Plan::default();
    let mut tables = Cow::Borrowed(tables);
    for _ in 0..ROUNDS {
        let wanted = round::Round::new(desired, &tables, capacity, rings).run();
        let ops = diff::ops(&wanted.tables, &tables);
        plan.refusals = wanted.refusals;
        if plan.refusals.is_empty() || ops.is_empty() {
            plan.ops.extend(ops);
            break;
        }
        // Something did not fit while what it replaces was still there: look again once that is gone.
        let tables = tables.to_mut();
        ops.iter().for_each(|op| tables.apply(op));
        plan.ops.extend(ops);
    }
    plan
}

/// As [`Planner::plan`], without memory.
pub fn plan(desired: &Desired, tables: &Tables, capacity: Capacity) -> Plan {
    full(desired, tables, capacity, &mut rings::Rings::default())
}
