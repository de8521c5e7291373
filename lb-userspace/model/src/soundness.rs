//! What must hold of tables whoever filled them, and when two of them mean the same: for tests and fuzz targets.

use std::collections::BTreeSet;

use lb_common::name::NAME_LEN;

use crate::{
    explain::{Explanation, explain},
    op::Tables,
    ring_ref::RingRef,
};

/// Where a packet could be led astray: a ring that is not whole, a slot without an endpoint or with one of another
/// family, a frontend without a name, a name that the maps cut.
pub fn fault(tables: &Tables) -> Option<String> {
    for (key, service) in &tables.services {
        for RingRef { chunk, size, .. } in RingRef::of(service) {
            let Some(ring) = tables.rings.get(&chunk) else {
                return Some(format!("{key:?}: no ring for {service:?}"));
            };
            if ring.len() != size as usize {
                return Some(format!("{key:?}: {size} slots asked for, the ring has {}", ring.len()));
            }
            let astray = |slot: &u32| {
                tables.backends.get(slot).is_none_or(|backend| {
                    backend.address.is_none() || backend.address.is_v4() != key.address.is_v4()
                })
            };
            if let Some(slot) = ring.iter().find(astray) {
                return Some(format!("{key:?}: slot of {slot}, which is no endpoint of its family"));
            }
        }
        if service.id != 0 && !tables.names.contains_key(&service.id) {
            return Some(format!("{key:?}: id {} has no name", service.id));
        }
    }
    let cut = tables.names.values().find(|name| name.len() > NAME_LEN);
    cut.map(|name| format!("{name:?} is longer than the {NAME_LEN} bytes of a name"))
}

/// What tables mean, numbers and endpoints outside all rings left out.
pub fn meaning(tables: &Tables) -> Explanation {
    let mut meaning = explain(tables);
    meaning.services.iter_mut().for_each(|service| service.id = 0);
    let members: BTreeSet<_> = meaning
        .services
        .iter()
        .flat_map(|service| service.ring.shares.iter().chain(&service.local_ring.shares))
        .filter_map(|share| share.backend)
        .collect();
    meaning.backends.retain(|view| members.contains(&view.backend));
    for view in &mut meaning.backends {
        (view.index, view.generation) = (0, 0);
    }
    meaning
}
