//! Which endpoint a new flow goes to.

use super::Hook;
use crate::{
    address::IpAddress,
    affinity::{Affinity, AffinityKey},
    backend::{BACKEND_LOCAL, BACKEND_TERMINATING, Backend},
    hash,
    packet::Packet,
    ring::{self, CHUNK_SLOTS},
    service::{SERVICE_LOCAL, Service},
    stat::Stat,
    time::{self, Tick, since},
    trace::Step,
};

/// Chooses the endpoint for a flow whose tuple hashes to `hash`: that of the client's earlier flows, else the ring's.
/// Copies it into `backend` and returns its index.
#[inline(always)]
pub(super) fn choose<H: Hook>(
    hook: &H,
    packet: &Packet<H::Address>,
    service: &Service,
    backend: &mut Backend,
    hash: u64,
    now: Tick,
) -> Option<u32> {
    let keeps_clients = service.affinity != 0;
    let hash = if keeps_clients { hash::client(&packet.key) } else { hash };
    let mut index = from_ring(hook, packet, service, backend, hash)?;
    if keeps_clients {
        let key = AffinityKey { client: packet.key.src_be.address(), service: service.id };
        index = kept(hook, packet, service, &key, backend, now).unwrap_or(index);
        let affinity = Affinity { backend: index, generation: backend.generation, last_used: now };
        hook.keep_affinity(&key, affinity);
    }
    Some(index)
}

/// The endpoint that the client is bound to, where it still takes new flows; `backend` is the ring's before.
#[inline(always)]
fn kept<H: Hook>(
    hook: &H,
    packet: &Packet<H::Address>,
    service: &Service,
    key: &AffinityKey,
    backend: &mut Backend,
    now: Tick,
) -> Option<u32> {
    let affinity = hook.affinity(key)?;
    let flags = hook.endpoint_flags(affinity.backend, affinity.generation)?;
    // Endpoints that terminate take new flows only where all do: then that of the ring terminates too.
    let takes_flows = flags & BACKEND_TERMINATING == 0 || backend.flags & BACKEND_TERMINATING != 0;
    let reachable = !only_local(packet, service) || flags & BACKEND_LOCAL != 0;
    let expired = since(now, affinity.last_used) > time::seconds(service.affinity);
    if expired || !takes_flows || !reachable || !hook.backend(affinity.backend, backend) {
        return None;
    }
    hook.step(Step::AffinityHit, affinity.backend, 0, 0);
    hook.count(Stat::AffinityKept);
    Some(affinity.backend)
}

/// True where only this node's endpoints may be chosen.
#[inline(always)]
const fn only_local<A>(packet: &Packet<A>, service: &Service) -> bool {
    packet.tunnelled != 0 || service.flags & SERVICE_LOCAL != 0
}

/// The ring's endpoint for a hash.
#[inline(always)]
fn from_ring<H: Hook>(
    hook: &H,
    packet: &Packet<H::Address>,
    service: &Service,
    backend: &mut Backend,
    hash: u64,
) -> Option<u32> {
    let (ring, size) = if packet.tunnelled != 0 {
        (service.local_ring, service.local_ring_size)
    } else {
        (service.ring, service.ring_size)
    };
    if size == 0 {
        return None;
    }
    let slot = ring::slot((hash >> 32) as u32, size);
    let index = hook.ring(ring + slot / CHUNK_SLOTS as u32, slot % CHUNK_SLOTS as u32)?;
    hook.step(Step::RingSlot, slot, index, 0);
    if !hook.backend(index, backend) {
        return None;
    }
    let values = [u32::from(backend.port_be), u32::from(backend.flags), 0];
    hook.step_between(Step::Backend, values, H::Address::NONE, H::Address::from_address(backend.address));
    (!backend.address.is_none()).then_some(index)
}
