//! Maps in memory: what tests and dry runs plan against.

use std::{collections::BTreeSet, convert::Infallible};

use crate::{
    op::{Capacity, DataPlane, Op, Tables},
    ring_ref::RingRef,
};

/// A data plane without a kernel.
#[derive(Clone, Debug)]
pub struct Memory {
    tables: Tables,
    capacity: Capacity,
}

impl Memory {
    /// Maps of the given size that hold `tables`.
    pub fn new(tables: Tables, capacity: Capacity) -> Self {
        Self { tables, capacity }
    }
}

impl DataPlane for Memory {
    type Error = Infallible;

    fn dump(&mut self) -> Result<Tables, Infallible> {
        // As from the kernel: a ring is only found through a frontend.
        let found: BTreeSet<u32> =
            self.tables.services.values().flat_map(RingRef::of).map(|ring| ring.chunk).collect();
        let mut tables = self.tables.clone();
        tables.rings.retain(|chunk, _| found.contains(chunk));
        Ok(tables)
    }

    fn apply(&mut self, op: &Op) -> Result<(), Infallible> {
        self.tables.apply(op);
        Ok(())
    }

    fn capacity(&self) -> Capacity {
        self.capacity
    }
}
