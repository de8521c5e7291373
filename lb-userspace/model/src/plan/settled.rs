//! The short way: nothing but endpoints changed since the maps were last brought up to date.
//!
//! One comparison of everything, and work for what changed; the long way looks up every endpoint of every Service.

use std::collections::BTreeMap;

use super::{
    diff,
    entry::Chunks,
    rings::Rings,
    runs::{Placed, Runs},
};
use crate::{
    backend_id::BackendId,
    desired::{Desired, DesiredBackend, DesiredService},
    op::{Capacity, Op, Tables},
    ring_ref::Role,
};

/// The last plan that found room for everything, and the maps after it.
#[derive(Debug)]
pub(super) struct Settled {
    desired: Desired,
    tables: Tables,
    capacity: Capacity,
    indices: BTreeMap<BackendId, u32>,
}

/// The part of the maps that changes.
#[derive(Default)]
struct Part {
    actual: Tables,
    wanted: Tables,
    /// Endpoints that get an index.
    new: BTreeMap<BackendId, u32>,
}

impl Settled {
    /// What `ops` make of `tables`.
    pub(super) fn new(desired: &Desired, mut tables: Tables, ops: &[Op], capacity: Capacity) -> Self {
        ops.iter().for_each(|op| tables.apply(op));
        let indices =
            tables.backends.iter().filter_map(|(index, entry)| Some((BackendId::of(entry)?, *index)));
        Self { desired: desired.clone(), indices: indices.collect(), tables, capacity }
    }

    /// The way from `tables` to `desired`; `None`, and no more use for `self`, where it is not a short one.
    pub(super) fn advance(
        &mut self,
        desired: &Desired,
        tables: &Tables,
        capacity: Capacity,
        rings: &mut Rings,
    ) -> Option<Vec<Op>> {
        if capacity != self.capacity || *tables != self.tables || desired.peers != self.desired.peers {
            return None;
        }
        let services = changed_services(&self.desired, desired)?;
        let backends = differences(&self.desired.backends, &desired.backends);
        let mut part = Part::default();
        for (id, backend) in &backends {
            self.change_backend(**id, backend.copied(), &mut part);
        }
        if !services.is_empty() {
            let mut free = free_indices(&self.tables, capacity);
            let mut runs = Runs::new(&self.tables, capacity.chunks);
            for (name, service) in &services {
                let members = service.members.iter().chain(&service.local_members);
                let indices = members.map(|id| {
                    let known = self.indices.get(id).or_else(|| part.new.get(id)).copied();
                    known.or_else(|| {
                        self.add_backend(*id, *desired.backends.get(id)?, free.next()?, &mut part)
                    })
                });
                let indices = indices.collect::<Option<Vec<u32>>>()?;
                self.change_service(name, service, &indices, rings, &mut runs, &mut part)?;
            }
        }
        let ops = diff::ops(&part.wanted, &part.actual);
        let backends = backends.into_iter().map(|(id, backend)| (*id, backend.copied())).collect();
        self.follow(services, backends, part.new, &ops);
        Some(ops)
    }

    /// An endpoint that changed, or that is gone. One without an index was never a member.
    fn change_backend(&self, id: BackendId, backend: Option<DesiredBackend>, part: &mut Part) {
        let entry = |index: &u32| Some((*index, *self.tables.backends.get(index)?));
        if let Some((index, entry)) = self.indices.get(&id).and_then(entry) {
            part.actual.backends.insert(index, entry);
            if let Some(backend) = backend {
                part.wanted.backends.insert(index, id.entry(backend, entry.generation));
            }
        }
    }

    /// A new endpoint at a free index.
    fn add_backend(
        &self,
        id: BackendId,
        backend: DesiredBackend,
        index: u32,
        part: &mut Part,
    ) -> Option<u32> {
        let old = self.tables.backends.get(&index);
        part.actual.backends.extend(old.map(|old| (index, *old)));
        part.wanted.backends.insert(index, id.entry(backend, old.map_or(1, |old| old.generation.max(1))));
        part.new.insert(id, index);
        Some(index)
    }

    fn change_service(
        &self,
        name: &str,
        service: &DesiredService,
        indices: &[u32],
        rings: &mut Rings,
        runs: &mut Runs,
        part: &mut Part,
    ) -> Option<()> {
        let entry = |key| self.tables.services.get(key).copied();
        let id = entry(&service.frontends.first()?.key)?.id;
        let (clients, peers) = indices.split_at(service.members.len());
        let mut chunks = Chunks::default();
        for (role, indices) in [(Role::Clients, clients), (Role::Peers, peers)] {
            if indices.is_empty() {
                continue;
            }
            let slots = rings.slots(name, role, service.members_of(role), indices);
            let Placed { chunk, .. } = runs.place(id, role, &slots, service, &self.tables)?;
            part.actual.rings.extend(self.tables.rings.get(&chunk).map(|ring| (chunk, ring.clone())));
            part.wanted.rings.insert(chunk, slots);
            chunks.set(role, chunk);
        }
        for frontend in &service.frontends {
            part.actual.services.insert(frontend.key, entry(&frontend.key)?);
            part.wanted.services.insert(frontend.key, service.entry(id, frontend, chunks));
        }
        Some(())
    }

    fn follow(
        &mut self,
        services: Vec<(&String, &DesiredService)>,
        backends: Vec<(BackendId, Option<DesiredBackend>)>,
        new: BTreeMap<BackendId, u32>,
        ops: &[Op],
    ) {
        for (id, backend) in backends {
            match backend {
                Some(backend) => drop(self.desired.backends.insert(id, backend)),
                None => {
                    self.desired.backends.remove(&id);
                    self.indices.remove(&id);
                }
            }
        }
        self.indices.extend(new);
        for (name, service) in services {
            self.desired.services.insert(name.clone(), service.clone());
        }
        ops.iter().for_each(|op| self.tables.apply(op));
    }
}

/// Service ports whose endpoints changed; `None` where anything else did.
fn changed_services<'a>(old: &Desired, new: &'a Desired) -> Option<Vec<(&'a String, &'a DesiredService)>> {
    if old.services.len() != new.services.len() {
        return None;
    }
    let mut changed = Vec::new();
    for ((old_name, old), (name, service)) in old.services.iter().zip(&new.services) {
        if old_name != name
            || old.frontends != service.frontends
            || old.affinity_seconds != service.affinity_seconds
            || old.source_ranges != service.source_ranges
        {
            return None;
        }
        if old.members != service.members
            || old.local_members != service.local_members
            || old.draining != service.draining
        {
            changed.push((name, service));
        }
    }
    Some(changed)
}

/// Endpoints that differ, as they are now; `None` for those that are gone.
fn differences<'a>(
    old: &'a BTreeMap<BackendId, DesiredBackend>,
    new: &'a BTreeMap<BackendId, DesiredBackend>,
) -> Vec<(&'a BackendId, Option<&'a DesiredBackend>)> {
    let mut found = Vec::new();
    let mut old = old.iter().peekable();
    for (id, backend) in new {
        while let Some((gone, _)) = old.next_if(|(other, _)| *other < id) {
            found.push((gone, None));
        }
        if old.next_if(|(other, _)| *other == id).is_none_or(|(_, before)| before != backend) {
            found.push((id, Some(backend)));
        }
    }
    found.extend(old.map(|(gone, _)| (gone, None)));
    found
}

/// Free indices, the lowest first.
fn free_indices(tables: &Tables, capacity: Capacity) -> impl Iterator<Item = u32> {
    let used =
        tables.backends.iter().filter(|(_, backend)| !backend.address.is_none()).map(|(index, _)| *index);
    let mut used = used.peekable();
    (1..capacity.backends).filter(move |index| {
        while used.next_if(|used| used < index).is_some() {}
        used.next_if_eq(index).is_none()
    })
}
