//! From what the maps hold to what they should hold, one write at a time, with service going on after each.

mod diff;
mod entry;
mod free;
mod ids;
mod indices;
mod rings;
mod round;
mod runs;
mod settled;
#[cfg(test)]
mod tests;

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    mem,
};

use lb_common::ring;

use self::settled::Settled;
use crate::{
    desired::{Changes, Desired},
    object::Refusal,
    op::{Capacity, Op, Tables},
    ring_ref::RingRef,
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

/// Plans from what the maps hold, which it follows write by write. Where a plan was carried out to its end, the next one
/// is work for what changed alone; it is the same that a look at everything would give.
#[derive(Debug)]
pub struct Planner {
    tables: Tables,
    capacity: Capacity,
    way: Way,
}

/// What the planner knows beyond the tables.
#[derive(Debug)]
enum Way {
    /// Nothing: the next plan looks at everything.
    Long,
    /// As `Long`; a plan under which everything finds room is being carried out.
    Arriving,
    /// Where everything stands, once the writes of a plan are done.
    Ahead(Box<Settled>),
    /// Where everything stands.
    Settled(Box<Settled>),
}

impl Planner {
    /// A planner that starts from what the maps hold.
    pub fn new(tables: Tables, capacity: Capacity) -> Self {
        Self { tables, capacity, way: Way::Long }
    }

    /// What the maps hold.
    pub fn tables(&self) -> &Tables {
        &self.tables
    }

    /// How much of the arrays is given away.
    pub fn allocated(&self) -> Allocated {
        match &self.way {
            Way::Settled(settled) => settled.allocated(),
            _ => Allocated::of(&self.tables),
        }
    }

    /// The way to `desired`. `changes` names everything in which it differs from what the last plan, carried out to its
    /// end, led to.
    ///
    /// Backend indices, service ids and rings in the maps are kept where they still fit.
    pub fn plan(&mut self, desired: &Desired, changes: &Changes) -> Plan {
        if let Way::Settled(mut settled) = mem::replace(&mut self.way, Way::Long)
            && let Some(ops) = settled.advance(desired, changes, &self.tables, self.capacity)
        {
            self.way = Way::Ahead(settled);
            return Plan { ops, refusals: Vec::new() };
        }
        let plan = plan(desired, &self.tables, self.capacity);
        if plan.refusals.is_empty() {
            self.way = Way::Arriving;
        }
        plan
    }

    /// Notes that a write of the plan was carried out.
    pub fn applied(&mut self, op: &Op) {
        self.tables.apply(op);
    }

    /// Notes that all writes of the plan to `desired` were carried out.
    pub fn finish(&mut self, desired: &Desired) {
        self.way = match mem::replace(&mut self.way, Way::Long) {
            Way::Long => Way::Long,
            Way::Arriving => {
                let read: BTreeSet<u32> =
                    self.tables.services.values().flat_map(RingRef::of).map(|ring| ring.chunk).collect();
                self.tables.rings.retain(|chunk, _| read.contains(chunk));
                Way::Settled(Box::new(Settled::new(desired, &self.tables, self.capacity)))
            }
            Way::Ahead(mut settled) => {
                for chunk in settled.unread() {
                    self.tables.rings.remove(&chunk);
                }
                Way::Settled(settled)
            }
            Way::Settled(settled) => Way::Settled(settled),
        };
    }
}

/// How much of the arrays is given away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allocated {
    /// Chunks of `rings` that frontends point to.
    pub chunks: usize,
    /// Entries of `backends` that hold an endpoint.
    pub backends: usize,
}

impl Allocated {
    fn of(tables: &Tables) -> Self {
        // Frontends may share a ring.
        let rings: BTreeMap<u32, u32> =
            tables.services.values().flat_map(RingRef::of).map(|ring| (ring.chunk, ring.size)).collect();
        Self {
            chunks: rings.values().map(|size| ring::chunks(*size) as usize).sum(),
            backends: tables.backends.values().filter(|backend| !backend.address.is_none()).count(),
        }
    }
}

/// The way from `tables` to `desired` by a look at everything.
pub fn plan(desired: &Desired, tables: &Tables, capacity: Capacity) -> Plan {
    let mut plan = Plan::default();
    let mut tables = Cow::Borrowed(tables);
    for _ in 0..ROUNDS {
        let wanted = round::Round::new(desired, &tables, capacity).run();
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
