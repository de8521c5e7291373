//! How packets reach an endpoint.

use super::{FIB_NO_NEIGHBOUR, FIB_SUCCESS, Hook, Route, Stage, Verdict, drop};
use crate::{
    address::IpAddress,
    backend::{BACKEND_LOCAL, Backend},
    drop_reason::DropReason,
    flow::{FLOW_ENCAPSULATED, FLOW_HAIRPIN, FLOW_LOCAL, FLOW_TAGGED, FLOW_VIA_STACK, Flow},
    interface::{INTERFACE_UPLINK, INTERFACE_XDP},
    packet::Packet,
    service::{SERVICE_DSR, Service},
    stat::Stat,
    trace::Step,
};

use super::tunnel;

/// Finds the way to `backend` and writes it into `flow`: next hop, kind, source address. A verdict where this packet
/// cannot go.
#[inline(always)]
pub(super) fn find<H: Hook>(
    hook: &mut H,
    packet: &Packet<H::Address>,
    service: &Service,
    backend: &Backend,
    flow: &mut Flow<H::Address>,
) -> Option<Verdict> {
    flow.flags = 0;
    let mut destination = H::Address::from_address(backend.address);
    let mut source = H::Address::NONE;
    if backend.flags & BACKEND_LOCAL != 0 {
        if !is_hairpin(hook, packet, destination) {
            flow.src_be = packet.key.src_be;
            flow.flags = FLOW_LOCAL;
            (flow.ifindex, flow.macs, flow.mtu) = (0, [0; 3], 0);
            return None;
        }
        source = H::Address::HAIRPIN;
        flow.flags = FLOW_HAIRPIN;
        hook.count(Stat::Hairpinned);
        hook.step_between(Step::Hairpin, [0; 3], source, H::Address::NONE);
    } else if service.flags & SERVICE_DSR != 0 && !backend.node.is_none() {
        destination = H::Address::from_address(backend.node);
        flow.flags = FLOW_ENCAPSULATED;
    }
    let route = look_up(hook, packet, source, destination);
    if !route.is_known() {
        if H::STAGE == Stage::Xdp {
            hook.count(Stat::LeftToStack);
            hook.step(Step::LeftToStack, 0, 0, 0);
            return Some(Verdict::PASS);
        }
        return Some(drop(hook, DropReason::NoRoute));
    }
    if source.is_none() {
        source = if route.source_be.is_none() {
            hook.interface(route.ifindex).map_or(H::Address::NONE, |interface| interface.source())
        } else {
            route.source_be
        };
    }
    if source.is_none() {
        return Some(drop(hook, DropReason::NoSourceAddress));
    }
    flow.src_be = source;
    flow.dst_be = destination;
    take_hop(hook, &route, flow);
    None
}

/// Looks the next hop of a flow up again; a verdict where there is none.
#[inline(always)]
pub(super) fn resolve<H: Hook>(
    hook: &mut H,
    packet: &Packet<H::Address>,
    flow: &mut Flow<H::Address>,
) -> Option<Verdict> {
    let route = look_up(hook, packet, flow.src_be, flow.dst_be);
    if H::STAGE != Stage::Xdp && !route.is_known() {
        return Some(drop(hook, DropReason::NoRoute));
    }
    take_hop(hook, &route, flow);
    None
}

#[inline(always)]
pub(super) fn look_up<H: Hook>(
    hook: &H,
    packet: &Packet<H::Address>,
    source: H::Address,
    destination: H::Address,
) -> Route<H::Address> {
    let route = hook.route(source, destination, packet);
    let values = [route.code as u32, route.ifindex, u32::from(route.mtu)];
    hook.step_between(Step::Fib, values, route.source_be, H::Address::NONE);
    route
}

/// Writes a route's next hop into a flow.
#[inline(always)]
fn take_hop<H: Hook>(hook: &H, route: &Route<H::Address>, flow: &mut Flow<H::Address>) {
    flow.flags &= !(FLOW_VIA_STACK | FLOW_TAGGED);
    flow.flags |= hop_flags(hook, route);
    flow.ifindex = route.ifindex;
    flow.macs = route.macs;
    flow.mtu = route.mtu;
    if flow.flags & FLOW_ENCAPSULATED != 0 {
        flow.mtu = route.mtu.saturating_sub(tunnel::outer_len::<H>() as u16);
    }
}

/// `FLOW_*` bits of a next hop.
#[inline(always)]
pub(super) fn hop_flags<H: Hook>(hook: &H, route: &Route<H::Address>) -> u8 {
    if H::STAGE != Stage::Xdp {
        return FLOW_VIA_STACK;
    }
    if route.code == FIB_NO_NEIGHBOUR {
        hook.count(Stat::NoNeighbour);
    }
    match hook.interface(route.ifindex) {
        Some(interface) if route.code == FIB_SUCCESS && interface.flags & INTERFACE_XDP != 0 => {
            if interface.parent == 0 { 0 } else { FLOW_TAGGED }
        }
        _ => FLOW_VIA_STACK,
    }
}

/// True where replies of the local endpoint at `address` would not leave through an uplink of ours, where they are
/// translated: the client is the endpoint itself, another pod of this node, or behind a device without our program.
#[inline(always)]
fn is_hairpin<H: Hook>(hook: &H, packet: &Packet<H::Address>, address: H::Address) -> bool {
    if packet.key.src_be.is(address) {
        return true;
    }
    let back = look_up(hook, packet, packet.key.dst_be, packet.key.src_be);
    back.is_known()
        && hook
            .interface(back.ifindex)
            .is_none_or(|interface| interface.flags & (INTERFACE_XDP | INTERFACE_UPLINK) == 0)
}
