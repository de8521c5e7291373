//! One pass over everything desired: what gets room beside all that the maps hold now.

use std::{collections::BTreeMap, net::IpAddr};

use lb_common::{
    abi::map,
    address::Address,
    ring,
    service::{SERVICE_CATCH_ALL, SERVICE_EXTERNAL_IP, SERVICE_LOAD_BALANCER, Service, ServiceKey},
};

use super::{ids::Ids, indices::Indices, rings::Rings, runs::Runs};
use crate::{
    desired::{Desired, DesiredService},
    object::{ObjectKey, Refusal},
    op::{Capacity, Tables},
    refusal::reason,
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
    rings: &'a mut Rings,
    ids: Ids<'a>,
    indices: Indices,
    runs: Runs,
    /// Entries of `services` while old and new stand side by side.
    entries: u32,
    wanted: Wanted,
}

/// A map without room.
struct Full {
    map: &'static str,
    used: u32,
    capacity: u32,
}

impl Full {
    fn refusal(&self, object: &ObjectKey, what: &str) -> Refusal {
        let Self { map, used, capacity } = self;
        let message = format!(
            "{what} finds no room: {used} of {capacity} entries of the map `{map}` are in use; give the map more \
             entries or remove other Services"
        );
        Refusal::of_service(object, reason::MAP_FULL, message)
    }
}

impl<'a> Round<'a> {
    pub(super) fn new(
        desired: &'a Desired,
        tables: &'a Tables,
        capacity: Capacity,
        rings: &'a mut Rings,
    ) -> Self {
        Self {
            desired,
            tables,
            capacity,
            rings,
            ids: Ids::new(tables, capacity),
            indices: Indices::new(tables, capacity),
            runs: Runs::new(tables, capacity.chunks),
            entries: tables.services.len() as u32,
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
        self.wanted.tables.backends = self.indices.wanted(&self.desired.backends, self.tables);
        self.wanted
    }

    fn place(&mut self, name: &'a str, service: &DesiredService) -> Result<(), Full> {
        let entries = self.with_entries(service.frontends.iter().map(|frontend| frontend.key))?;
        let id = match self.ids.known(name) {
            Some(id) => id,
            None => self.ids.free().ok_or(Full {
                map: map::SERVICE_STATS,
                used: self.capacity.services,
                capacity: self.capacity.services,
            })?,
        };
        let Some(taken) = self.indices.take(&service.members) else {
            let (used, capacity) = self.indices.usage();
            return Err(Full { map: map::BACKENDS, used, capacity });
        };
        let ring = match self.place_ring(name, id, service, &taken.indices) {
            Ok(chunk) => chunk,
            Err(full) => {
                self.indices.give_back(&taken);
                return Err(full);
            }
        };
        self.entries = entries;
        self.ids.take(id);
        self.indices.keep(&taken, &service.draining);
        self.wanted.tables.names.insert(id, name.to_owned());
        let ring_size = ring::size_for(service.members.len());
        for frontend in &service.frontends {
            let service = Service { id, ring, ring_size, flags: frontend.flags, ..Service::default() };
            self.wanted.tables.services.insert(frontend.key, service);
        }
        Ok(())
    }

    /// The ring's first chunk.
    fn place_ring(
        &mut self,
        name: &str,
        id: u32,
        service: &DesiredService,
        indices: &[u32],
    ) -> Result<u32, Full> {
        if service.members.is_empty() {
            return Ok(0);
        }
        let slots = self.rings.slots(name, &service.members, indices);
        let chunk = self.runs.place(id, &slots, service, self.tables).ok_or_else(|| {
            let (used, capacity) = self.runs.usage();
            Full { map: map::RINGS, used, capacity }
        })?;
        let slots = self.rings.adopt(name, slots, self.tables.rings.get(&chunk));
        self.wanted.tables.rings.insert(chunk, slots);
        Ok(chunk)
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

    fn full_services(&self) -> Full {
        Full { map: map::SERVICES, used: self.entries, capacity: self.capacity.services }
    }
}

impl DesiredService {
    /// Addresses of frontends that are not the node's own (the guard of [`desired`](crate::desired) sees to that).
    fn vips(&self) -> impl Iterator<Item = Address> {
        let kinds = SERVICE_EXTERNAL_IP | SERVICE_LOAD_BALANCER;
        self.frontends
            .iter()
            .filter(move |frontend| frontend.flags & kinds != 0)
            .map(|frontend| frontend.key.address)
    }
}
