//! Service ids.

use std::collections::{BTreeMap, BTreeSet};

use lb_common::source_range::SourceRangeKey;

use crate::op::{Capacity, Tables};

/// Which id names what, and which are free. Id 0 names nothing: catch-alls carry it.
pub(super) struct Ids<'a> {
    by_name: BTreeMap<&'a str, u32>,
    used: BTreeSet<u32>,
    next: u32,
    end: u32,
}

impl<'a> Ids<'a> {
    pub(super) fn new(tables: &'a Tables, capacity: Capacity) -> Self {
        let end = capacity.services;
        let mut by_name = BTreeMap::new();
        for (id, name) in tables.names.iter().filter(|(id, _)| (1..end).contains(*id)) {
            by_name.entry(name.as_str()).or_insert(*id);
        }
        // An id stays used while a frontend counts under it or a range lets clients in under it, named or not.
        let named = tables.names.keys().copied();
        let counting = tables.services.values().map(|service| service.id);
        let guarding = tables.source_ranges.iter().map(SourceRangeKey::service);
        let used = named.chain(counting).chain(guarding).collect();
        Self { by_name, used, next: 1, end }
    }

    /// The id that the maps have for a name.
    pub(super) fn known(&self, name: &str) -> Option<u32> {
        self.by_name.get(name).copied()
    }

    /// The lowest free id.
    pub(super) fn free(&mut self) -> Option<u32> {
        while self.used.contains(&self.next) {
            self.next += 1;
        }
        Some(self.next).filter(|id| *id < self.end)
    }

    /// Marks what [`Self::free`] gave as used.
    pub(super) fn take(&mut self, id: u32) {
        self.used.insert(id);
    }
}
