//! The writes between two states of the maps.

use crate::op::{Op, Tables};

/// The way from `actual` to `wanted`: what is referred to comes before what refers to it, and goes after.
///
/// Rings need no removal: one that no frontend points to is free.
pub(super) fn ops(wanted: &Tables, actual: &Tables) -> Vec<Op> {
    let mut ops = Vec::new();
    let mut endpoints_change = false;
    for (index, backend) in &wanted.backends {
        let old = actual.backends.get(index);
        if old != Some(backend) {
            endpoints_change |= old.is_some_and(|old| !old.address.is_none());
            ops.push(Op::SetBackend { index: *index, backend: *backend });
        }
    }
    for (chunk, slots) in &wanted.rings {
        if actual.rings.get(chunk) != Some(slots) {
            ops.push(Op::SetRing { chunk: *chunk, slots: slots.clone() });
        }
    }
    for (id, name) in &wanted.names {
        if actual.names.get(id) != Some(name) {
            ops.push(Op::SetName { id: *id, name: name.clone() });
        }
    }
    // Before the frontends that use them: one that came first would let nobody in.
    ops.extend(
        wanted.source_ranges.difference(&actual.source_ranges).map(|key| Op::SetSourceRange { key: *key }),
    );
    ops.extend(wanted.peers.difference(&actual.peers).map(|address| Op::SetPeer { address: *address }));
    for (key, service) in &wanted.services {
        if actual.services.get(key) != Some(service) {
            ops.push(Op::SetService { key: *key, service: *service });
        }
    }
    let keys = actual.services.keys().filter(|key| !wanted.services.contains_key(key));
    ops.extend(keys.map(|key| Op::RemoveService { key: *key }));
    // After the frontends that used them: one that still did would let nobody in.
    ops.extend(
        actual.source_ranges.difference(&wanted.source_ranges).map(|key| Op::RemoveSourceRange { key: *key }),
    );
    ops.extend(actual.peers.difference(&wanted.peers).map(|address| Op::RemovePeer { address: *address }));
    let ids = actual.names.keys().filter(|id| !wanted.names.contains_key(id));
    ops.extend(ids.map(|id| Op::RemoveName { id: *id }));
    for (index, backend) in &actual.backends {
        if !backend.address.is_none() && !wanted.backends.contains_key(index) {
            endpoints_change = true;
            ops.push(Op::RemoveBackend { index: *index, generation: next_generation(backend.generation) });
        }
    }
    if endpoints_change {
        ops.push(Op::RaiseEpoch);
    }
    ops
}

/// Generation 0 is that of an index never used.
fn next_generation(generation: u32) -> u32 {
    generation.wrapping_add(1).max(1)
}
