//! Backend indices.

use std::collections::BTreeMap;

use lb_common::backend::Backend;

use crate::{
    backend_id::BackendId,
    desired::DesiredBackend,
    op::{Capacity, Tables},
};

/// Which index holds which endpoint, and which are free.
pub(super) struct Indices {
    /// Endpoints in the maps, sorted; of duplicates the lowest index.
    known: Vec<(BackendId, u32)>,
    /// Endpoints that get an index in this round.
    new: BTreeMap<BackendId, u32>,
    /// By index.
    states: Vec<State>,
    next: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Free,
    /// An endpoint is there, and nobody has asked for it yet.
    Used,
    /// An endpoint is there or will be, and stays.
    Kept,
}

/// What [`Indices::take`] found.
pub(super) struct Taken {
    /// One index for each endpoint, in their order.
    pub(super) indices: Vec<u32>,
    /// Those of the endpoints that had none.
    new: Vec<BackendId>,
}

impl Indices {
    pub(super) fn new(tables: &Tables, capacity: Capacity) -> Self {
        let mut states = vec![State::Free; capacity.backends as usize];
        let mut known = Vec::with_capacity(tables.backends.len());
        for (index, backend) in &tables.backends {
            let Some(state) = states.get_mut(*index as usize).filter(|_| !backend.address.is_none()) else {
                continue;
            };
            *state = State::Used;
            // Index 0 is never used.
            if let Some(id) = BackendId::of(backend).filter(|_| *index > 0) {
                known.push((id, *index));
            }
        }
        known.sort_unstable();
        known.dedup_by_key(|(id, _)| *id);
        Self { known, new: BTreeMap::new(), states, next: 1 }
    }

    fn get(&self, id: BackendId) -> Option<u32> {
        match self.known.binary_search_by_key(&id, |(known, _)| *known) {
            Ok(position) => Some(self.known[position].1),
            Err(_) => self.new.get(&id).copied(),
        }
    }

    /// The indices of all of `ids`, free ones for those that have none; `None`, and nothing taken, where there are
    /// too few.
    pub(super) fn take(&mut self, ids: &[BackendId]) -> Option<Taken> {
        let mut taken = Taken { indices: Vec::with_capacity(ids.len()), new: Vec::new() };
        for id in ids {
            if let Some(index) = self.get(*id).or_else(|| self.allocate(*id, &mut taken.new)) {
                taken.indices.push(index);
            } else {
                self.give_back(&taken);
                return None;
            }
        }
        Some(taken)
    }

    fn allocate(&mut self, id: BackendId, new: &mut Vec<BackendId>) -> Option<u32> {
        while *self.states.get(self.next)? != State::Free {
            self.next += 1;
        }
        self.states[self.next] = State::Used;
        self.new.insert(id, self.next as u32);
        new.push(id);
        Some(self.next as u32)
    }

    /// Undoes [`Self::take`].
    pub(super) fn give_back(&mut self, taken: &Taken) {
        for index in taken.new.iter().filter_map(|id| self.new.remove(id)) {
            self.states[index as usize] = State::Free;
            self.next = self.next.min(index as usize);
        }
    }

    /// Confirms [`Self::take`].
    pub(super) fn keep(&mut self, taken: &Taken) {
        for index in &taken.indices {
            self.states[*index as usize] = State::Kept;
        }
    }

    /// Keeps endpoints where they have an index already.
    pub(super) fn keep_known(&mut self, ids: &[BackendId]) {
        for id in ids {
            if let Some(index) = self.get(*id) {
                self.states[index as usize] = State::Kept;
            }
        }
    }

    /// The entries of all endpoints that stay or come.
    pub(super) fn wanted(
        &self,
        backends: &BTreeMap<BackendId, DesiredBackend>,
        tables: &Tables,
    ) -> BTreeMap<u32, Backend> {
        let mut known = self.known.iter().peekable();
        let entries = backends.iter().filter_map(|(id, backend)| {
            // Both are sorted: one walk in place of a search for each.
            while known.next_if(|(other, _)| other < id).is_some() {}
            let index = known
                .next_if(|(other, _)| other == id)
                .map(|(_, index)| index)
                .or_else(|| self.new.get(id))?;
            if self.states[*index as usize] != State::Kept {
                return None;
            }
            let generation = tables.backends.get(index).map_or(1, |old| old.generation.max(1));
            Some((*index, id.entry(*backend, generation)))
        });
        entries.collect()
    }

    /// Indices in all.
    pub(super) fn capacity(&self) -> u32 {
        (self.states.len() as u32).saturating_sub(1)
    }
}
