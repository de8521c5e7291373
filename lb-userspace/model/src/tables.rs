//! What an [`Op`] does to [`Tables`].

use lb_common::{
    backend::Backend,
    ring::{self, CHUNK_SLOTS},
};

use crate::op::{Op, Tables};

/// Chunks of the longest ring.
const LONGEST_RUN: u32 = ring::chunks(ring::SIZES[ring::SIZES.len() - 1]);

impl Tables {
    /// Carries out one step, as the maps do. An agent keeps a mirror of the maps this way instead of reading them
    /// back after each change.
    pub fn apply(&mut self, op: &Op) {
        match op {
            Op::SetBackend { index, backend } => {
                self.backends.insert(*index, *backend);
            }
            Op::SetRing { chunk, slots } => {
                self.forget_rings_under(*chunk, slots.len());
                self.rings.insert(*chunk, slots.clone());
            }
            Op::SetName { id, name } => {
                self.names.insert(*id, name.clone());
            }
            Op::SetSourceRange { key } => {
                self.source_ranges.insert(*key);
            }
            Op::SetPeer { address } => {
                self.peers.insert(*address);
            }
            Op::SetService { key, service } => {
                self.services.insert(*key, *service);
            }
            Op::RemoveService { key } => {
                self.services.remove(key);
            }
            Op::RemoveSourceRange { key } => {
                self.source_ranges.remove(key);
            }
            Op::RemovePeer { address } => {
                self.peers.remove(address);
            }
            Op::RemoveName { id } => {
                self.names.remove(id);
            }
            Op::RemoveBackend { index, generation } => {
                let free = Backend { generation: *generation, ..Default::default() };
                self.backends.insert(*index, free);
            }
            Op::RaiseEpoch => {}
        }
    }

    /// The array `rings` has no borders: writing a ring destroys whatever it overlaps.
    fn forget_rings_under(&mut self, chunk: u32, slots: usize) {
        let end = chunk.saturating_add(slots.div_ceil(CHUNK_SLOTS) as u32);
        let reach = chunk.saturating_sub(LONGEST_RUN);
        let overlapping: Vec<u32> = self
            .rings
            .range(reach..end)
            .filter(|(first, ring)| *first + ring.len().div_ceil(CHUNK_SLOTS) as u32 > chunk)
            .map(|(first, _)| *first)
            .collect();
        for first in overlapping {
            self.rings.remove(&first);
        }
    }
}
