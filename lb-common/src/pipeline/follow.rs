//! Packets of a flow that exists.

use super::{FIB_NO_NEIGHBOUR, FIB_SUCCESS, Hook, Stage, Verdict, drop};
use crate::{
    address::IpAddress,
    drop_reason::DropReason,
    flow::{FLOW_LOCAL, FLOW_REVERSE, FLOW_VIA_STACK, Flow, REFRESH, RestoreRecord},
    hash,
    interface::INTERFACE_XDP,
    packet::Packet,
    stat::Stat,
    tcp::{self, TCP, flag},
    time::{Tick, since},
    trace::Step,
};

/// What [`tend`] found.
pub(super) enum Tended<A> {
    /// The packet goes on.
    Goes(Flow<A>),
    /// The flow is over: as if there were none.
    Over,
    /// The packet is finished.
    Done(Verdict),
}

/// True where this hook handles packets of the half: replies of local endpoints at egress, all others at ingress.
#[inline(always)]
pub(super) fn belongs_here<H: Hook>(flow: &Flow<H::Address>) -> bool {
    const LOCAL_REPLY: u8 = FLOW_REVERSE | FLOW_LOCAL;
    (H::STAGE == Stage::TcxEgress) == (flow.flags & LOCAL_REPLY == LOCAL_REPLY)
}

/// True where the packet changes nothing and nothing is due: what nearly every packet meets.
#[inline(always)]
pub(super) fn is_steady<H: Hook>(
    hook: &H,
    packet: &Packet<H::Address>,
    flow: &Flow<H::Address>,
    now: Tick,
) -> bool {
    gained(packet, flow) == 0
        && packet.tcp_flags & flag::SYN == 0
        && flow.epoch == hook.epoch()
        && since(now, flow.last_seen) <= REFRESH
}

/// State bits that the packet adds.
#[inline(always)]
const fn gained<A: IpAddress>(packet: &Packet<A>, flow: &Flow<A>) -> tcp::State {
    tcp::gained(packet.tcp_flags, flow.flags & FLOW_REVERSE == 0) & !flow.state
}

/// The rare half of the work: state changes, endpoint and next hop checked, the other half and the records looked after.
#[inline(always)]
pub(super) fn tend<H: Hook>(
    hook: &mut H,
    packet: &Packet<H::Address>,
    half: H::Half,
    mut flow: Flow<H::Address>,
    now: Tick,
) -> Tended<H::Address> {
    let reverse = flow.flags & FLOW_REVERSE != 0;
    let reopened = tcp::is_closed(flow.state) && packet.tcp_flags & flag::SYN != 0;
    if flow.is_over(packet.protocol, now) || reopened {
        hook.step(Step::FlowOver, u32::from(flow.state), since(now, flow.last_seen), 0);
        return Tended::Over;
    }
    if !reverse && hook.backend(flow.backend).is_none_or(|backend| backend.generation != flow.generation) {
        hook.step(Step::EndpointGone, flow.backend, 0, 0);
        if packet.protocol == TCP && !packet.opens() {
            return Tended::Done(Verdict::reject(DropReason::EndpointGone));
        }
        hook.count(Stat::Reselected);
        return Tended::Over;
    }
    let other_key = flow.other_key(&packet.key);
    let other = hook.flow(&other_key);
    flow.state |= gained(packet, &flow);
    if let Some(other) = other {
        let mut value = hook.read(other);
        if value.is_other_of(&flow, &packet.key) {
            flow.state |= value.state;
            value.state = flow.state;
            value.last_seen = now;
            hook.write(other, &value);
        } else if !reverse {
            // The claim of the source port had expired and another flow took it.
            return Tended::Over;
        }
    }
    if flow.flags & FLOW_LOCAL == 0
        && let Some(verdict) = resolve(hook, packet, &mut flow)
    {
        return Tended::Done(verdict);
    }
    flow.epoch = hook.epoch();
    flow.last_seen = now;
    // Before any insert: an LRU may hand the very element that `half` points to to another key.
    hook.write(half, &flow);
    let other_flow = flow.other(&packet.key);
    if other.is_none() && hook.insert_new(&other_key, &other_flow).is_ok() {
        hook.count(Stat::HalfRestored);
    }
    keep_records(hook, packet, &flow, &other_flow, now);
    Tended::Goes(flow)
}

/// Writes the restore records of both halves.
#[inline(always)]
fn keep_records<H: Hook>(
    hook: &H,
    packet: &Packet<H::Address>,
    flow: &Flow<H::Address>,
    other: &Flow<H::Address>,
    now: Tick,
) {
    let other_key = flow.other_key(&packet.key);
    hook.keep_record(hash::flow(&packet.key), RestoreRecord::of(&packet.key, flow, now), now);
    hook.keep_record(hash::flow(&other_key), RestoreRecord::of(&other_key, other, now), now);
}

/// Looks the next hop up; a verdict where there is none.
#[inline(always)]
fn resolve<H: Hook>(
    hook: &mut H,
    packet: &Packet<H::Address>,
    flow: &mut Flow<H::Address>,
) -> Option<Verdict> {
    let route = hook.route(flow.src_be, flow.dst_be, packet);
    hook.step_between(Step::Fib, [route.code as u32, route.ifindex, 0], route.source_be, H::Address::NONE);
    if H::STAGE == Stage::Xdp {
        let direct = route.code == FIB_SUCCESS && sends_from_xdp(hook, route.ifindex);
        flow.flags = if direct { flow.flags & !FLOW_VIA_STACK } else { flow.flags | FLOW_VIA_STACK };
        if route.code == FIB_NO_NEIGHBOUR {
            hook.count(Stat::NoNeighbour);
        }
    } else if !route.is_known() {
        return Some(drop(hook, DropReason::NoRoute));
    } else {
        flow.flags |= FLOW_VIA_STACK;
    }
    flow.ifindex = route.ifindex;
    flow.macs = route.macs;
    None
}

/// True where XDP may send through the interface.
#[inline(always)]
pub(super) fn sends_from_xdp<H: Hook>(hook: &H, ifindex: u32) -> bool {
    hook.interface(ifindex).is_some_and(|interface| interface.flags & INTERFACE_XDP != 0)
}

/// Translates a packet and sends it on its way.
#[inline(always)]
pub(super) fn send<H: Hook>(hook: &mut H, packet: &Packet<H::Address>, flow: &Flow<H::Address>) -> Verdict {
    let local = flow.flags & FLOW_LOCAL != 0;
    if !local {
        if H::STAGE == Stage::Xdp && flow.flags & FLOW_VIA_STACK != 0 {
            hook.count(Stat::LeftToStack);
            hook.step(Step::LeftToStack, 0, 0, 0);
            return Verdict::PASS;
        }
        if packet.ttl <= 1 {
            return Verdict::reject(DropReason::TtlExpired);
        }
    }
    let bytes = H::L3 as u64 + u64::from(packet.total_len);
    hook.count_packet(flow.service, flow.flags & FLOW_REVERSE != 0, bytes);
    let ports = u32::from(u16::from_be(flow.src_port_be)) << 16 | u32::from(u16::from_be(flow.dst_port_be));
    hook.step_between(Step::Rewrite, [ports, 0, 0], flow.src_be, flow.dst_be);
    if !hook.rewrite(packet, flow, !local) {
        return drop(hook, DropReason::Truncated);
    }
    if local {
        hook.step(Step::Pass, 0, 0, 0);
        return Verdict::PASS;
    }
    hook.step(Step::Forward, flow.ifindex, 0, 0);
    if hook.set_macs(&flow.macs) { Verdict::forward(flow.ifindex) } else { drop(hook, DropReason::Truncated) }
}
