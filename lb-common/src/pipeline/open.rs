//! New flows: choose an endpoint, claim the reverse tuple, remember both halves.

use super::{
    FIB_NO_NEIGHBOUR, FIB_SUCCESS, Hook, InsertError, Stage, Verdict, drop,
    follow::{send, sends_from_xdp},
};
use crate::{
    address::IpAddress,
    backend::{BACKEND_LOCAL, Backend},
    drop_reason::DropReason,
    flow::{FLOW_LOCAL, FLOW_REVERSE, FLOW_VIA_STACK, Flow, FlowKey},
    hash,
    packet::Packet,
    ring::{self, CHUNK_SLOTS},
    service::{SERVICE_SILENT, Service},
    snat,
    stat::Stat,
    tcp,
    time::Tick,
    trace::Step,
};

/// The way to an endpoint, before a source port is chosen.
struct Way<A> {
    /// Source address after translation, network byte order.
    source_be: A,
    /// `FLOW_*` bits.
    flags: u8,
    ifindex: u32,
    macs: [u32; 3],
}

/// Opens a flow for `packet` and sends the packet.
///
/// No restore record is written yet: the first reply does, so a flood of flows that nobody answers costs the records of
/// living flows nothing.
#[inline(always)]
pub(super) fn open<H: Hook>(
    hook: &mut H,
    packet: &Packet<H::Address>,
    service: &Service,
    now: Tick,
) -> Verdict {
    let hash = hash::flow(&packet.key);
    let Some((index, backend)) = choose(hook, service, hash) else {
        return if service.flags & SERVICE_SILENT != 0 {
            drop(hook, DropReason::NoLocalEndpoint)
        } else {
            Verdict::reject(DropReason::NoEndpoint)
        };
    };
    if backend.flags & BACKEND_LOCAL == 0 && packet.ttl <= 1 {
        return Verdict::reject(DropReason::TtlExpired);
    }
    let way = match find_way(hook, packet, &backend) {
        Ok(way) => way,
        Err(verdict) => return verdict,
    };
    let template = Flow {
        ifindex: way.ifindex,
        macs: way.macs,
        epoch: hook.epoch(),
        last_seen: now,
        backend: index,
        generation: backend.generation,
        service: service.id,
        opened: now,
        // A connection that was opened elsewhere (another node failed, or both halves and their records are gone) has
        // been answered before.
        state: if packet.protocol == tcp::TCP && !packet.opens() { tcp::REPLIED } else { 0 },
        flags: way.flags,
        ..Flow::default()
    };
    let source_port_be = match claim(hook, packet, &backend, &template, way.source_be, hash, now) {
        Ok(port_be) => port_be,
        Err(reason) => return drop(hook, reason),
    };
    let to = FlowKey {
        src_be: way.source_be,
        dst_be: H::Address::from_address(backend.address),
        src_port_be: source_port_be,
        dst_port_be: backend.port_be,
        protocol: packet.key.protocol,
    };
    let forward = with_translation(&template, &packet.key, &to);
    if hook.insert(&packet.key, &forward).is_err() {
        hook.remove(&to.reversed());
        return drop(hook, DropReason::FlowTableFull);
    }
    hook.count_flow(service.id);
    send(hook, packet, &forward)
}

#[inline(always)]
fn with_translation<A: IpAddress>(template: &Flow<A>, key: &FlowKey<A>, to: &FlowKey<A>) -> Flow<A> {
    let translation = Flow::translating(key, to);
    Flow {
        src_be: translation.src_be,
        dst_be: translation.dst_be,
        src_port_be: translation.src_port_be,
        dst_port_be: translation.dst_port_be,
        l3_delta: translation.l3_delta,
        l4_delta: translation.l4_delta,
        ..*template
    }
}

/// The ring's endpoint for a flow.
#[inline(always)]
fn choose<H: Hook>(hook: &H, service: &Service, hash: u64) -> Option<(u32, Backend)> {
    if service.ring_size == 0 {
        return None;
    }
    let slot = ring::slot((hash >> 32) as u32, service.ring_size);
    let index = hook.ring(service.ring + slot / CHUNK_SLOTS as u32, slot % CHUNK_SLOTS as u32)?;
    hook.step(Step::RingSlot, slot, index, 0);
    let backend = hook.backend(index)?;
    let address = H::Address::from_address(backend.address);
    let values = [u32::from(backend.port_be), u32::from(backend.flags), 0];
    hook.step_between(Step::Backend, values, H::Address::NONE, address);
    (!backend.address.is_none()).then_some((index, backend))
}

/// How packets reach `backend`; a verdict where this packet cannot.
#[inline(always)]
fn find_way<H: Hook>(
    hook: &mut H,
    packet: &Packet<H::Address>,
    backend: &Backend,
) -> Result<Way<H::Address>, Verdict> {
    if backend.flags & BACKEND_LOCAL != 0 {
        return Ok(Way { source_be: packet.key.src_be, flags: FLOW_LOCAL, ifindex: 0, macs: [0; 3] });
    }
    let route = hook.route(H::Address::NONE, H::Address::from_address(backend.address), packet);
    hook.step_between(Step::Fib, [route.code as u32, route.ifindex, 0], route.source_be, H::Address::NONE);
    if !route.is_known() {
        if H::STAGE == Stage::Xdp {
            hook.count(Stat::LeftToStack);
            hook.step(Step::LeftToStack, 0, 0, 0);
            return Err(Verdict::PASS);
        }
        return Err(drop(hook, DropReason::NoRoute));
    }
    let source_be = if route.source_be.is_none() {
        hook.interface(route.ifindex).map_or(H::Address::NONE, |interface| interface.source())
    } else {
        route.source_be
    };
    if source_be.is_none() {
        return Err(drop(hook, DropReason::NoSourceAddress));
    }
    let direct = H::STAGE == Stage::Xdp && route.code == FIB_SUCCESS && sends_from_xdp(hook, route.ifindex);
    if H::STAGE == Stage::Xdp && route.code == FIB_NO_NEIGHBOUR {
        hook.count(Stat::NoNeighbour);
    }
    let flags = if direct { 0 } else { FLOW_VIA_STACK };
    Ok(Way { source_be, flags, ifindex: route.ifindex, macs: route.macs })
}

/// Claims a reverse tuple by inserting the reverse half, and returns the source port, network byte order.
///
/// A local flow keeps the client's port unless another VIP leads the same client port to the same endpoint.
#[inline(always)]
fn claim<H: Hook>(
    hook: &H,
    packet: &Packet<H::Address>,
    backend: &Backend,
    template: &Flow<H::Address>,
    source_be: H::Address,
    hash: u64,
    now: Tick,
) -> Result<u16, DropReason> {
    let (min, max) = hook.snat_ports();
    let keeps_port = template.flags & FLOW_LOCAL != 0;
    let back = packet.key.reversed();
    let mut key = FlowKey {
        src_be: H::Address::from_address(backend.address),
        dst_be: source_be,
        src_port_be: backend.port_be,
        dst_port_be: packet.key.src_port_be,
        protocol: packet.key.protocol,
    };
    let mut reverse = Flow {
        epoch: 0,
        ifindex: 0,
        macs: [0; 3],
        flags: (template.flags & FLOW_LOCAL) | FLOW_REVERSE,
        ..*template
    };
    for attempt in 0..=snat::PROBES {
        let own_port = keeps_port && attempt == 0;
        if !own_port {
            key.dst_port_be = snat::candidate(hash, attempt, min, max).to_be();
        }
        reverse = with_translation(&reverse, &key, &back);
        match try_claim(hook, packet, &key, &reverse, now) {
            Claim::Won => {
                hook.step(
                    Step::SourcePort,
                    u32::from(u16::from_be(key.dst_port_be)),
                    attempt,
                    u32::from(own_port),
                );
                if !own_port {
                    hook.count(if keeps_port { Stat::SourcePortCollision } else { Stat::PortClaimed });
                }
                return Ok(key.dst_port_be);
            }
            Claim::Taken => hook.count(Stat::PortProbes),
            Claim::Full => return Err(DropReason::FlowTableFull),
        }
    }
    Err(DropReason::SnatPortsExhausted)
}

enum Claim {
    Won,
    Taken,
    Full,
}

#[inline(always)]
fn try_claim<H: Hook>(
    hook: &H,
    packet: &Packet<H::Address>,
    key: &FlowKey<H::Address>,
    reverse: &Flow<H::Address>,
    now: Tick,
) -> Claim {
    match hook.insert_new(key, reverse) {
        Ok(()) => return Claim::Won,
        Err(InsertError::Full) => return Claim::Full,
        Err(InsertError::Exists) => {}
    }
    let Some(half) = hook.flow(key) else {
        return Claim::Taken;
    };
    let holder = hook.read(half);
    let ours = holder.src_be.is(reverse.src_be)
        && holder.dst_be.is(reverse.dst_be)
        && holder.src_port_be == reverse.src_port_be
        && holder.dst_port_be == reverse.dst_port_be;
    if ours {
        // The half that outlived its partner, or a client's earlier connection from the same port.
        let state = if packet.opens() { reverse.state } else { holder.state };
        hook.write(half, &Flow { state, ..*reverse });
        return Claim::Won;
    }
    if !holder.is_over(packet.protocol, now) {
        return Claim::Taken;
    }
    // Removing first leaves a single winner where two CPUs steal at once.
    if hook.remove(key) && hook.insert_new(key, reverse).is_ok() {
        hook.count(Stat::PortStolen);
        return Claim::Won;
    }
    Claim::Taken
}
