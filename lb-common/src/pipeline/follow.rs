//! Packets of a flow that exists.

use core::sync::atomic::{Ordering, compiler_fence};

use super::{Hook, Stage, Verdict, send, way, workspace};
use crate::{
    drop_reason::DropReason,
    flow::{FLOW_ENCAPSULATED, FLOW_HAIRPIN, FLOW_LOCAL, FLOW_REVERSE, Flow, REFRESH},
    hash,
    monitor::{CloseReason, Kind, What},
    packet::Packet,
    stat::Stat,
    tcp::{self, UDP, flag},
    time::{Tick, since},
    trace::Step,
    workspace::Workspace,
};

/// What [`tend`] found.
pub(super) enum Tended {
    /// The packet goes on.
    Goes,
    /// The flow is over: as if there were none.
    Over,
    /// The packet is finished.
    Done(Verdict),
}

/// True where this hook handles packets of the half: replies of local endpoints at egress, all others at ingress.
#[inline(always)]
pub(super) const fn belongs_here<H: Hook>(flow: &Flow<H::Address>) -> bool {
    let local_reply = flow.flags & FLOW_REVERSE != 0 && flow.flags & (FLOW_LOCAL | FLOW_HAIRPIN) != 0;
    matches!(H::STAGE, Stage::TcxEgress) == local_reply
}

/// Sends a packet for which nothing but that is to be done, or passes it where another hook does that; None where there
/// is more to do.
#[inline(always)]
pub(super) fn at_once<H: Hook>(
    hook: &mut H,
    packet: &Packet<H::Address>,
    flow: &Flow<H::Address>,
    now: Tick,
) -> Option<Verdict> {
    if !belongs_here::<H>(flow) {
        return Some(Verdict::PASS);
    }
    hook.step(Step::FlowHit, u32::from(flow.flags), flow.backend, flow.service);
    is_steady(hook, packet, flow, now).then(|| send::send(hook, packet, flow))
}

/// True where the packet changes nothing and nothing is due: what nearly every packet meets.
#[inline(always)]
fn is_steady<H: Hook>(hook: &H, packet: &Packet<H::Address>, flow: &Flow<H::Address>, now: Tick) -> bool {
    gained(packet, flow) == 0
        && packet.tcp_flags & flag::SYN == 0
        && flow.epoch == hook.epoch()
        && since(now, flow.last_seen) <= REFRESH
}

/// State bits that the packet adds.
#[inline(always)]
const fn gained<A>(packet: &Packet<A>, flow: &Flow<A>) -> tcp::State {
    tcp::gained(packet.tcp_flags, flow.flags & FLOW_REVERSE == 0, flow.state) & !flow.state
}

/// The rare half of the work: state changes, endpoint and next hop checked, the other half and the records looked after.
#[inline(always)]
pub(super) fn tend<H: Hook>(
    hook: &mut H,
    packet: &Packet<H::Address>,
    half: H::Half,
    workspace: &mut Workspace<H::Address>,
    now: Tick,
) -> Tended {
    let Workspace { own, flow, other: other_flow, key: other_key, state_before, .. } = workspace;
    *own = packet.key;
    let reverse = flow.flags & FLOW_REVERSE != 0;
    let reopened = tcp::is_closed(flow.state) && packet.tcp_flags & flag::SYN != 0;
    if flow.is_over(packet.protocol, now) || reopened {
        hook.step(Step::FlowOver, u32::from(flow.state), since(now, flow.last_seen), 0);
        let was_open = 1 - u32::from(tcp::closed_bit(flow.state));
        hook.tell(What(was_open * What::new(Kind::Close, CloseReason::Idle as u32).0), 0);
        return Tended::Over;
    }
    if !reverse && hook.endpoint_flags(flow.backend, flow.generation).is_none() {
        hook.step(Step::EndpointGone, flow.backend, 0, 0);
        if packet.protocol != UDP && !packet.opens() {
            return Tended::Done(Verdict::reject(DropReason::EndpointGone));
        }
        hook.count(Stat::Reselected);
        hook.tell(What::new(Kind::Close, CloseReason::EndpointGone as u32), 0);
        return Tended::Over;
    }
    let encapsulated = flow.flags & FLOW_ENCAPSULATED != 0;
    *other_key = flow.other_key(&packet.key);
    *state_before = u32::from(flow.state);
    flow.state |= gained(packet, flow);
    flow.state |= flow.unheard_end();
    let other = if encapsulated { None } else { hook.flow(other_key) };
    if let Some(other) = other {
        let value = hook.read(other);
        if value.is_other_of(flow, &packet.key) {
            flow.state |= value.state;
            hook.touch(other, flow.state, now);
        } else if !reverse {
            // The claim of the source port had expired and another flow took it.
            return Tended::Over;
        }
    }
    if flow.flags & FLOW_LOCAL == 0
        && let Some(verdict) = way::resolve(hook, packet, flow)
    {
        return Tended::Done(verdict);
    }
    flow.epoch = hook.epoch();
    flow.last_seen = now;
    // Before any insert: an LRU may hand the very element that `half` points to to another key.
    hook.write(half, flow);
    if !encapsulated {
        flow.write_other(&packet.key, other_flow);
        if other.is_none() && hook.insert_new(other_key, other_flow).is_ok() {
            hook.count(Stat::HalfRestored);
        }
    }
    // Last, because the verifier of Linux 6.1 takes every scalar that lives across such a call for one that matters.
    hook.tell(What::CHANGE, 0);
    hook.keep_records(now);
    Tended::Goes
}

/// Keeps the records of the flow in the workspace and of its other half, if it has one. Of confirmed flows only: a flood
/// from forged addresses, answered or not, costs the records of the living nothing.
///
/// Asked here and not by the caller, where each branch is a way that the verifier of Linux 6.1 walks to the end.
#[inline(always)]
pub fn keep_records<H: Hook>(hook: &H, now: Tick) {
    let Some(Workspace { own, flow, other, key, .. }) = workspace(hook) else {
        return;
    };
    if flow.state & tcp::CONFIRMED == 0 {
        return;
    }
    // Nothing is loaded before it is known to be needed: Linux 6.1 has 64 bytes of stack for this function.
    compiler_fence(Ordering::SeqCst);
    hook.keep_record(hash::flow(own), own, flow, now);
    if flow.flags & FLOW_ENCAPSULATED == 0 {
        hook.keep_record(hash::flow(key), key, other, now);
    }
}
