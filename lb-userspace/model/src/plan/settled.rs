//! The short way: everything desired is in the maps, and some of it changed since.
//!
//! Work for what changed alone. The result is the one of the long way, which looks at everything.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
};

use lb_common::{
    address::Address,
    service::{SERVICE_CATCH_ALL, SERVICE_EXTERNAL_IP, SERVICE_LOAD_BALANCER, Service, ServiceKey},
    source_range::SourceRangeKey,
};

use super::{
    Allocated, diff,
    entry::Chunks,
    free::Free,
    rings,
    runs::{Placed, Runs},
};
use crate::{
    backend_id::BackendId,
    desired::{Changes, Desired, DesiredService},
    op::{Capacity, Op, Tables},
    ring_ref::{RingRef, Role},
};

/// Where everything is, after a plan that found room for all of it.
#[derive(Debug)]
pub(super) struct Settled {
    places: BTreeMap<String, Place>,
    indices: BTreeMap<BackendId, u32>,
    /// Frontends of VIPs, by address.
    vips: BTreeMap<Address, u32>,
    free_ids: Free,
    free_indices: Free,
    runs: Runs,
    unread: Vec<u32>,
}

/// What the maps hold for a Service port.
#[derive(Debug, Default)]
struct Place {
    id: u32,
    frontends: Box<[ServiceKey]>,
    source_ranges: Box<[SourceRangeKey]>,
}

/// The part of the maps that changes.
#[derive(Default)]
struct Part {
    actual: Tables,
    wanted: Tables,
    /// Endpoints that get an index.
    new: BTreeMap<BackendId, u32>,
    /// Addresses whose frontends come or go.
    vips: BTreeSet<Address>,
    /// What is free once all writes are done.
    ids: Vec<u32>,
    indices: Vec<u32>,
    rings: BTreeSet<(u32, u32)>,
}

impl Settled {
    /// What stands where in `tables`, which hold everything desired and nothing else.
    pub(super) fn new(desired: &Desired, tables: &Tables, capacity: Capacity) -> Self {
        let ids: BTreeMap<&str, u32> = tables.names.iter().map(|(id, name)| (name.as_str(), *id)).collect();
        let place = |(name, service): (&String, &DesiredService)| {
            let id = ids.get(name.as_str()).copied().unwrap_or_default();
            (name.clone(), Place::new(id, service))
        };
        let mut vips = BTreeMap::new();
        for vip in desired.services.values().flat_map(DesiredService::vips) {
            *vips.entry(vip).or_default() += 1;
        }
        let live = || tables.backends.iter().filter(|(_, entry)| !entry.address.is_none());
        Self {
            places: desired.services.iter().map(place).collect(),
            indices: live().filter_map(|(index, entry)| Some((BackendId::of(entry)?, *index))).collect(),
            vips,
            free_ids: Free::new(tables.names.keys().copied(), capacity.services),
            free_indices: Free::new(live().map(|(index, _)| *index), capacity.backends),
            runs: Runs::new(tables, capacity.chunks),
            unread: Vec::new(),
        }
    }

    /// The way from `tables` to `desired`, in which nothing but `changes` is new; `None`, and no more use for `self`,
    /// where something finds no room. `self` is ahead of `tables` then until the writes are done.
    pub(super) fn advance(
        &mut self,
        desired: &Desired,
        changes: &Changes,
        tables: &Tables,
        capacity: Capacity,
    ) -> Option<Vec<Op>> {
        let mut part = Part::default();
        for id in &changes.backends {
            self.change_backend(*id, desired, tables, &mut part);
        }
        // In the order of their names, as on the long way: who comes first gets the lower numbers.
        for name in &changes.services {
            self.remove(name, tables, &mut part);
            if let Some(service) = desired.services.get(name) {
                self.place(name, service, desired, tables, &mut part)?;
            } else if let Some(place) = self.places.remove(name) {
                part.actual.names.insert(place.id, name.clone());
                part.ids.push(place.id);
            }
        }
        self.place_catch_alls(tables, &mut part);
        if changes.peers {
            part.actual.peers.clone_from(&tables.peers);
            part.wanted.peers = desired.peers.keys().copied().map(Address::from).collect();
        }
        part.fits(tables, capacity).then(|| {
            let ops = diff::ops(&part.wanted, &part.actual);
            self.settle(part);
            ops
        })
    }

    /// An endpoint that changed, or that is gone. One without an index was never a member.
    fn change_backend(&mut self, id: BackendId, desired: &Desired, tables: &Tables, part: &mut Part) {
        let Some((index, entry)) =
            self.indices.get(&id).and_then(|index| Some((*index, *tables.backends.get(index)?)))
        else {
            return;
        };
        part.actual.backends.insert(index, entry);
        if let Some(backend) = desired.backends.get(&id) {
            part.wanted.backends.insert(index, id.entry(*backend, entry.generation));
        } else {
            self.indices.remove(&id);
            part.indices.push(index);
        }
    }

    /// Notes what the maps hold for a Service port as something that may go.
    fn remove(&mut self, name: &str, tables: &Tables, part: &mut Part) {
        let Some(place) = self.places.get(name) else { return };
        for key in &place.frontends {
            let Some(entry) = tables.services.get(key).filter(|entry| entry.id == place.id) else { continue };
            part.actual.services.insert(*key, *entry);
            part.rings.extend(RingRef::of(entry).map(|ring| (ring.chunk, ring.size)));
            if is_vip(entry.flags)
                && let Some(count) = self.vips.get_mut(&key.address)
            {
                *count -= 1;
                part.vips.insert(key.address);
            }
        }
        part.actual.source_ranges.extend(&place.source_ranges);
    }

    fn place(
        &mut self,
        name: &str,
        service: &DesiredService,
        desired: &Desired,
        tables: &Tables,
        part: &mut Part,
    ) -> Option<()> {
        let id = match self.places.get(name) {
            Some(place) => place.id,
            None => {
                let id = self.free_ids.take()?;
                part.wanted.names.insert(id, name.to_owned());
                id
            }
        };
        let members = service.members.iter().chain(&service.local_members);
        let indices =
            members.map(|member| self.index(*member, desired, tables, part)).collect::<Option<Vec<_>>>()?;
        let (clients, peers) = indices.split_at(service.members.len());
        let mut chunks = Chunks::default();
        for (role, indices) in [(Role::Clients, clients), (Role::Peers, peers)] {
            if indices.is_empty() {
                continue;
            }
            let slots = rings::slots(service.members_of(role), indices);
            let Placed { chunk, .. } = self.runs.place(id, role, &slots, service, tables)?;
            part.actual.rings.extend(tables.rings.get(&chunk).map(|ring| (chunk, ring.clone())));
            part.rings.remove(&(chunk, slots.len() as u32));
            part.wanted.rings.insert(chunk, slots);
            chunks.set(role, chunk);
        }
        for frontend in &service.frontends {
            // The maps may hold it for a Service port that owned it until now.
            part.actual
                .services
                .extend(tables.services.get(&frontend.key).map(|entry| (frontend.key, *entry)));
            part.wanted.services.insert(frontend.key, service.entry(id, frontend, chunks));
        }
        for vip in service.vips() {
            *self.vips.entry(vip).or_default() += 1;
            part.vips.insert(vip);
        }
        part.wanted.source_ranges.extend(service.source_range_keys(id));
        self.places.insert(name.to_owned(), Place::new(id, service));
        Some(())
    }

    /// The index of a member; a free one where it has none.
    fn index(&mut self, id: BackendId, desired: &Desired, tables: &Tables, part: &mut Part) -> Option<u32> {
        if let Some(index) = self.indices.get(&id).or_else(|| part.new.get(&id)) {
            return Some(*index);
        }
        let backend = *desired.backends.get(&id)?;
        let index = self.free_indices.take()?;
        let old = tables.backends.get(&index);
        part.actual.backends.extend(old.map(|old| (index, *old)));
        part.wanted.backends.insert(index, id.entry(backend, old.map_or(1, |old| old.generation.max(1))));
        part.new.insert(id, index);
        Some(index)
    }

    fn place_catch_alls(&mut self, tables: &Tables, part: &mut Part) {
        for vip in &part.vips {
            let key = ServiceKey::catch_all(*vip);
            part.actual.services.extend(tables.services.get(&key).map(|entry| (key, *entry)));
            if self.vips.get(vip).is_some_and(|count| *count > 0) {
                let entry = Service { flags: SERVICE_CATCH_ALL, ..Service::default() };
                part.wanted.services.insert(key, entry);
            } else {
                self.vips.remove(vip);
            }
        }
    }

    /// Gives free what is not used any more, and takes over what is new.
    fn settle(&mut self, part: Part) {
        self.indices.extend(part.new);
        part.ids.into_iter().for_each(|id| self.free_ids.release(id));
        part.indices.into_iter().for_each(|index| self.free_indices.release(index));
        for (chunk, size) in part.rings {
            self.runs.release(chunk, size);
            self.unread.push(chunk);
        }
    }

    /// First chunks of the rings that nobody reads any more since the last plan.
    pub(super) fn unread(&mut self) -> Vec<u32> {
        mem::take(&mut self.unread)
    }

    /// How much of the arrays is given away.
    pub(super) fn allocated(&self) -> Allocated {
        Allocated { chunks: self.runs.used() as usize, backends: self.indices.len() }
    }
}

impl Place {
    fn new(id: u32, service: &DesiredService) -> Self {
        Self {
            id,
            frontends: service.frontends.iter().map(|frontend| frontend.key).collect(),
            source_ranges: service.source_range_keys(id).collect(),
        }
    }
}

impl Part {
    /// True where the maps have room for old and new side by side.
    fn fits(&self, tables: &Tables, capacity: Capacity) -> bool {
        fn fit(old: usize, new: usize, capacity: u32) -> bool {
            new == 0 || old + new <= capacity as usize
        }
        let services = self.wanted.services.keys().filter(|key| !tables.services.contains_key(key)).count();
        let ranges = self.wanted.source_ranges.difference(&tables.source_ranges).count();
        let peers = self.wanted.peers.difference(&tables.peers).count();
        fit(tables.services.len(), services, capacity.services)
            && fit(tables.source_ranges.len(), ranges, capacity.source_ranges)
            && fit(tables.peers.len(), peers, capacity.peers)
    }
}

fn is_vip(flags: u32) -> bool {
    flags & (SERVICE_EXTERNAL_IP | SERVICE_LOAD_BALANCER) != 0
}
