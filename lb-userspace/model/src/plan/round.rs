//! One pass over everything desired: what gets room beside all that the maps hold now.

use std::{collections::BTreeMap, net::IpAddr};

use lb_common::{
    abi::map,
    address::Address,
    service::{SERVICE_CATCH_ALL, Service, ServiceKey},
};

use super::{
    entry::Chunks,
    ids::Ids,
    indices::Indices,
    rings,
    runs::{Placed, Runs},
};
use crate::{
    desired::{Desired, DesiredService},
    object::{ObjectKey, Refusal},
    op::{Capacity, Tables},
    refusal::reason,
    ring_ref::Role,
    slots::Slots,
};

/// What the maps should hold after a round.
#[derive(Default)]
pub(super) struct Wanted {
    pub(super) tables: Tables,
    pub(super) refusals: Vec<Refusal>,
}

/// The room that is left, and what was given away so far.
pub(super) struct Round<'a> {
    desired: &'a Desired,
    tables: &'a Tables,
    capacity: Capacity,
    ids: Ids<'a>,
    indices: Indices,
    runs: Runs,
    /// Entries of `services` while old and new stand side by side.
    entries: u32,
    /// The same of `source_ranges`.
    source_ranges: u32,
    wanted: Wanted,
}

/// A map without room. How many entries are in use differs between nodes and by the moment, and an Event is made for each
/// different text: metrics and `sluice doctor` have the number.
struct Full {
    map: &'static str,
    capacity: u32,
}

impl Full {
    fn refusal(&self, object: &ObjectKey, what: &str) -> Refusal {
        let Self { map, capacity } = self;
        let message = format!(
            "{what} finds no room among the {capacity} entries of the map `{map}`; give the map more entries or \
             remove other Services"
        );
        Refusal::of_service(object, reason::MAP_FULL, message)
    }
}

impl<'a> Round<'a> {
    pub(super) fn new(desired: &'a Desired, tables: &'a Tables, capacity: Capacity) -> Self {
        Self {
            desired,
            tables,
            capacity,
            ids: Ids::new(tables, capacity),
            indices: Indices::new(tables, capacity),
            runs: Runs::new(tables, capacity.chunks),
            entries: tables.services.len() as u32,
            source_ranges: tables.source_ranges.len() as u32,
            wanted: Wanted::default(),
        }
    }

    /// What fits, Service ports in order of their names: what the maps have already comes at no cost, so newcomers
    /// never push it out.
    pub(super) fn run(mut self) -> Wanted {
        let mut vips = BTreeMap::new();
        for (name, service) in &self.desired.services {
            match self.place(name, service) {
                Ok(()) => vips.extend(service.vips().map(|vip| (vip, &service.object))),
                Err(full) => self.wanted.refusals.push(full.refusal(&service.object, name)),
            }
        }
        for (vip, object) in vips {
            if let Err(full) = self.place_catch_all(vip) {
                let what = format!("the answer for unknown ports of {}", IpAddr::from(vip));
                self.wanted.refusals.push(full.refusal(object, &what));
            }
        }
        self.place_peers();
        self.wanted.tables.backends = self.indices.wanted(&self.desired.backends, self.tables);
        self.wanted
    }

    fn place(&mut self, name: &'a str, service: &DesiredService) -> Result<(), Full> {
        let entries = self.with_entries(service.frontends.iter().map(|frontend| frontend.key))?;
        let id = match self.ids.known(name) {
            Some(id) => id,
            None => {
                self.ids.free().ok_or(Full { map: map::SERVICE_STATS, capacity: self.capacity.services })?
            }
        };
        let source_ranges = self.with_source_ranges(id, service)?;
        let members = [service.members.as_slice(), &service.local_members].concat();
        let Some(taken) = self.indices.take(&members) else {
            return Err(Full { map: map::BACKENDS, capacity: self.indices.capacity() });
        };
        let Some(chunks) = self.place_rings(id, service, &taken.indices) else {
            self.indices.give_back(&taken);
            return Err(Full { map: map::RINGS, capacity: self.runs.capacity() });
        };
        (self.entries, self.source_ranges) = (entries, source_ranges);
        self.ids.take(id);
        self.indices.keep(&taken);
        self.indices.keep_known(&service.draining);
        let tables = &mut self.wanted.tables;
        tables.names.insert(id, name.to_owned());
        tables.source_ranges.extend(service.source_range_keys(id));
        let entries =
            service.frontends.iter().map(|frontend| (frontend.key, service.entry(id, frontend, chunks)));
        tables.services.extend(entries);
        Ok(())
    }

    /// Where the rings of both roles begin; nothing is taken where one finds no room. `indices` are those of the
    /// members and then of the local members.
    fn place_rings(&mut self, id: u32, service: &DesiredService, indices: &[u32]) -> Option<Chunks> {
        let (clients, peers) = indices.split_at(service.members.len());
        let mut placed: Vec<(Role, Placed, Slots)> = Vec::new();
        for (role, indices) in [(Role::Clients, clients), (Role::Peers, peers)] {
            if indices.is_empty() {
                continue;
            }
            let slots = rings::slots(service.members_of(role), indices);
            let Some(place) = self.runs.place(id, role, &slots, service, self.tables) else {
                placed.iter().for_each(|(_, place, slots)| self.runs.give_back(*place, slots.len() as u32));
                return None;
            };
            placed.push((role, place, slots));
        }
        let mut chunks = Chunks::default();
        for (role, Placed { chunk, .. }, slots) in placed {
            // The maps' own copy where it is the same, so that there is one.
            let old = self.tables.rings.get(&chunk).filter(|old| **old == slots);
            self.wanted.tables.rings.insert(chunk, old.cloned().unwrap_or(slots));
            chunks.set(role, chunk);
        }
        Some(chunks)
    }

    fn place_catch_all(&mut self, vip: Address) -> Result<(), Full> {
        let key = ServiceKey::catch_all(vip);
        self.entries = self.with_entries([key].into_iter())?;
        self.wanted.tables.services.insert(key, Service { flags: SERVICE_CATCH_ALL, ..Service::default() });
        Ok(())
    }

    /// Entries of `services` once `keys` are among them.
    fn with_entries(&self, keys: impl Iterator<Item = ServiceKey>) -> Result<u32, Full> {
        let new = keys.filter(|key| !self.tables.services.contains_key(key)).count() as u32;
        let entries = self.entries + new;
        if new == 0 || entries <= self.capacity.services { Ok(entries) } else { Err(self.full_services()) }
    }

    /// Entries of `source_ranges` once those of `service` are among them.
    fn with_source_ranges(&self, id: u32, service: &DesiredService) -> Result<u32, Full> {
        let keys = service.source_range_keys(id);
        let new = keys.filter(|key| !self.tables.source_ranges.contains(key)).count() as u32;
        let (used, capacity) = (self.source_ranges, self.capacity.source_ranges);
        if new == 0 || used + new <= capacity {
            Ok(used + new)
        } else {
            Err(Full { map: map::SOURCE_RANGES, capacity })
        }
    }

    /// Peers in order of their addresses, those first that the map has already.
    fn place_peers(&mut self) {
        let address = |peer: &IpAddr| Address::from(*peer);
        let known = |peer: &&IpAddr| self.tables.peers.contains(&address(peer));
        let (known, new): (Vec<_>, Vec<_>) = self.desired.peers.keys().partition(known);
        let capacity = self.capacity.peers;
        let used = self.tables.peers.len() as u32;
        let room = capacity.saturating_sub(used) as usize;
        self.wanted.tables.peers = known.iter().chain(new.iter().take(room)).map(address).collect();
        for peer in new.iter().skip(room) {
            let full = Full { map: map::PEERS, capacity };
            let what = format!("the address {peer}, from which encapsulated packets come,");
            let mut refusal = full.refusal(&self.desired.peers[peer], &what);
            "Node".clone_into(&mut refusal.kind);
            self.wanted.refusals.push(refusal);
        }
    }

    fn full_services(&self) -> Full {
        Full { map: map::SERVICES, capacity: self.capacity.services }
    }
}
