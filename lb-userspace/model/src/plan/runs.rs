//! Which parts of the flat array of ring chunks are taken.

use std::ops::Range;

use lb_common::ring::{self, CHUNK_SLOTS};

use crate::{
    desired::DesiredService,
    op::Tables,
    ring_ref::{RingRef, Role},
    slots::Slots,
};

/// Chunks of the shortest ring: runs are counted in these.
const UNIT: u32 = ring::chunks(ring::SIZES[0]);

/// Who reads a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reader {
    Nobody,
    /// The frontends of one service id, in one role.
    One(u32, Role),
    Several,
}

/// Where a ring goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placed {
    /// First chunk.
    pub(super) chunk: u32,
    /// Nobody read there before.
    taken: bool,
}

/// The array `rings`, as long as anything may read it.
#[derive(Debug)]
pub(super) struct Runs {
    units: Vec<Reader>,
    /// By ring class: no run before this one is free.
    search_from: [usize; ring::SIZES.len()],
}

impl Runs {
    /// The runs that frontends in `tables` point to, those included that are about to go.
    pub(super) fn new(tables: &Tables, chunks: u32) -> Self {
        let units = vec![Reader::Nobody; (chunks / UNIT) as usize];
        let mut runs = Self { units, search_from: [0; ring::SIZES.len()] };
        for service in tables.services.values() {
            for ring in RingRef::of(service) {
                let me = Reader::One(service.id, ring.role);
                for unit in runs.units_of(ring.chunk, ring.size) {
                    let reader = &mut runs.units[unit];
                    let alone = *reader == Reader::Nobody || *reader == me;
                    *reader = if alone { me } else { Reader::Several };
                }
            }
        }
        runs
    }

    /// The units under a ring, cut at the end of the array.
    fn units_of(&self, chunk: u32, size: u32) -> Range<usize> {
        let end = (u64::from(chunk) + u64::from(size.div_ceil(CHUNK_SLOTS as u32))).div_ceil(u64::from(UNIT));
        let end = (end as usize).min(self.units.len());
        ((chunk / UNIT) as usize).min(end)..end
    }

    /// The place for the ring `slots` of a Service port: where it stands already, else a free run, else over
    /// the Service port's own old ring, which nobody else reads.
    pub(super) fn place(
        &mut self,
        id: u32,
        role: Role,
        slots: &Slots,
        service: &DesiredService,
        tables: &Tables,
    ) -> Option<Placed> {
        let size = slots.len() as u32;
        let old = service.frontends.iter().filter_map(|frontend| tables.services.get(&frontend.key));
        let old = old.filter(|old| old.id == id).flat_map(RingRef::of);
        let old = old.filter(|old| old.role == role && old.size == size).map(|old| old.chunk);
        let mut old = old.filter(|chunk| self.holds(*chunk, size));
        if let Some(chunk) = old.clone().find(|chunk| tables.rings.get(chunk) == Some(slots)) {
            return Some(Placed { chunk, taken: false });
        }
        let over_own = old.find(|chunk| self.only_read_by(id, role, *chunk, size));
        let taken = self.take(id, role, size).map(|chunk| Placed { chunk, taken: true });
        taken.or_else(|| Some(Placed { chunk: over_own?, taken: false }))
    }

    /// Undoes [`Self::place`].
    pub(super) fn give_back(&mut self, placed: Placed, size: u32) {
        if placed.taken {
            self.release(placed.chunk, size);
        }
    }

    /// Gives the run of a ring free that nobody reads any more.
    pub(super) fn release(&mut self, chunk: u32, size: u32) {
        let units = self.units_of(chunk, size);
        for (class, from) in self.search_from.iter_mut().enumerate() {
            // The run of the class that holds the first unit.
            *from = (*from).min(units.start >> class << class);
        }
        self.units[units].fill(Reader::Nobody);
    }

    /// True where a ring of `size` slots at `chunk` ends inside the array.
    fn holds(&self, chunk: u32, size: u32) -> bool {
        u64::from(chunk) + u64::from(ring::chunks(size)) <= self.units.len() as u64 * u64::from(UNIT)
    }

    /// True where nobody but service `id` in one role reads the ring at `chunk`.
    fn only_read_by(&self, id: u32, role: Role, chunk: u32, size: u32) -> bool {
        let me = Reader::One(id, role);
        self.holds(chunk, size) && self.units_of(chunk, size).all(|unit| self.units[unit] == me)
    }

    /// Takes the first free run for a ring of `size` slots; its first chunk.
    fn take(&mut self, id: u32, role: Role, size: u32) -> Option<u32> {
        let length = (ring::chunks(size) / UNIT) as usize;
        let class = length.trailing_zeros() as usize;
        let mut first = self.search_from[class];
        // Runs are aligned to their length, so that freed ones fit together again.
        while self.units.get(first..first + length)?.iter().any(|reader| *reader != Reader::Nobody) {
            first += length;
        }
        self.search_from[class] = first + length;
        self.units[first..first + length].fill(Reader::One(id, role));
        Some(first as u32 * UNIT)
    }

    /// Chunks that somebody reads.
    pub(super) fn used(&self) -> u32 {
        self.units.iter().filter(|reader| **reader != Reader::Nobody).count() as u32 * UNIT
    }

    /// Chunks in all.
    pub(super) fn capacity(&self) -> u32 {
        self.units.len() as u32 * UNIT
    }
}

#[cfg(test)]
mod tests {
    use lb_common::{
        address::Address,
        service::{Service, ServiceKey},
    };

    use super::*;

    #[test]
    fn runs_are_aligned_apart_and_end_with_the_array() {
        let mut runs = Runs::new(&Tables::default(), UNIT * 8);
        assert_eq!(runs.take(1, Role::Clients, 251), Some(0));
        assert_eq!(runs.take(2, Role::Clients, 1021), Some(UNIT * 4));
        assert_eq!(runs.take(3, Role::Clients, 509), Some(UNIT * 2));
        assert_eq!(runs.take(4, Role::Clients, 251), Some(UNIT));
        assert_eq!(runs.take(5, Role::Clients, 251), None);
        assert_eq!((runs.used(), runs.capacity()), (UNIT * 8, UNIT * 8));
        assert!(runs.only_read_by(2, Role::Clients, UNIT * 4, 1021));
        assert!(!runs.only_read_by(2, Role::Clients, UNIT * 2, 1021));
        assert!(!runs.only_read_by(2, Role::Peers, UNIT * 4, 1021));
    }

    #[test]
    fn a_run_that_two_services_read_is_nobodys_own() {
        let entry = |id| Service { id, ring_size: 251, ..Service::default() };
        let services = [
            (ServiceKey::new(Address::v4(1), 1, 6), entry(1)),
            (ServiceKey::new(Address::v4(1), 2, 6), entry(2)),
        ];
        let alone = Tables { services: services[..1].iter().copied().collect(), ..Tables::default() };
        let shared = Tables { services: services.into(), ..Tables::default() };
        assert!(Runs::new(&alone, UNIT).only_read_by(1, Role::Clients, 0, 251));
        assert!(!Runs::new(&shared, UNIT).only_read_by(1, Role::Clients, 0, 251));
        assert!(!Runs::new(&shared, UNIT).only_read_by(2, Role::Clients, 0, 251));
    }
}
