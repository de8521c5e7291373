//! The packet path, once: XDP, tcx ingress, tcx egress and the host's tests all run this code, for both IP families.
//!
//! ```text
//! run → Packet::parse → [outer header off] → [ports of a fragment]
//!     → filter → flow, found or restored → (now and then) tend → send
//!              → none → service → open                         → send
//!     → no ports → other (echo, ICMP errors)
//! whatever is refused → answer (reset, ICMP error)
//! ```
//!
//! Which packet is finished where (see ARCHITECTURE.md): XDP never hands the stack a packet whose source it changed.
//! It either finishes a packet or leaves it untouched for tcx ingress.

mod answer;
mod bytes;
mod choose;
mod claim;
mod error;
mod follow;
mod fragment;
mod header;
mod hook;
mod open;
mod other;
mod refused;
mod send;
mod tunnel;
mod verdict;
mod way;

pub use answer::answer;
pub use bytes::Bytes;
pub use claim::{claim, is_taken};
pub use follow::keep_records;
pub use hook::{
    FIB_FRAG_NEEDED, FIB_NO_NEIGHBOUR, FIB_NOT_FORWARDED, FIB_SUCCESS, Hook, InsertError, Route, Stage,
};
pub use open::{launch, open};
pub use other::other;
pub use refused::refused;
pub use verdict::{Action, Verdict};

use crate::{
    address::IpAddress,
    drop_reason::DropReason,
    filter::Bit,
    flow::{Flow, FlowKey},
    hash,
    packet::{Form, Packet},
    service::{Service, ServiceKey},
    stat::Stat,
    time::Tick,
    trace::Step,
    workspace::Workspace,
};
use follow::Tended;

/// Runs one packet through: what to do with it, or what more there is to do. [`Action::Other`] is for [`other`],
/// [`Action::Open`] for [`open`], [`Action::Claim`] for [`claim`] and [`launch`], and [`Action::Reject`] for [`answer`],
/// with the verdict's number. They are called from the entry point and not from
/// here, because the frames of nested calls share 512 bytes of stack.
#[inline(always)]
pub fn run<H: Hook>(hook: &mut H) -> Verdict {
    let Some(mut packet) = Packet::parse(hook) else {
        hook.step(Step::NotOurs, 0, 0, 0);
        return Verdict::PASS;
    };
    if packet.form != Form::TRANSPORT {
        if packet.form == Form::TUNNEL {
            match tunnel::decapsulate(hook, &packet) {
                Ok(inner) => packet = inner,
                Err(verdict) => return verdict,
            }
        }
        if packet.form == Form::LATER_FRAGMENT {
            if let Some(verdict) = fragment::find_ports(hook, &mut packet) {
                return verdict;
            }
        } else if !packet.has_ports() {
            return Verdict::OTHER;
        }
    }
    packet.blur(hook.zero());
    decide(hook, &packet)
}

/// The workspace.
#[inline(always)]
fn workspace<'a, H: Hook>(hook: &H) -> Option<&'a mut Workspace<H::Address>> {
    // SAFETY: null or valid by `Hook`; taken once on each way, by `decide` or by `error::translate`, and meanwhile by
    // `claim`, `is_taken`, `keep_records` and `Hook::tell` only, whose callers do not touch theirs before they return;
    // by `refused` when the way is over.
    unsafe { hook.workspace().as_mut() }
}

/// Runs a packet through to the end, as the programs do.
pub fn finish<H: Hook>(hook: &mut H) -> Verdict {
    let mut verdict = run(hook);
    match verdict.action() {
        Action::Other => verdict = other(hook),
        Action::Open => verdict = open(hook, verdict.number()),
        _ => {}
    }
    if verdict.action() == Action::Claim {
        verdict = hook.claim();
        if verdict.action() == Action::Claim {
            verdict = launch(hook);
        }
    }
    if verdict.refusal() != 0 {
        refused(hook, verdict.refusal());
    }
    if verdict.action() == Action::Reject {
        verdict = answer(hook, verdict.number());
    }
    verdict
}

#[inline(always)]
fn decide<H: Hook>(hook: &mut H, packet: &Packet<H::Address>) -> Verdict {
    if !may_be_ours(hook, &packet.key) {
        hook.step(Step::Filtered, 0, 0, 0);
        return Verdict::PASS;
    }
    let now = hook.now();
    let mut half = hook.flow(&packet.key);
    if let Some(half) = half
        && !H::Address::IS_V6
    {
        // An IPv4 flow fits into registers and a little stack.
        let flow = hook.read(half);
        if let Some(verdict) = follow::at_once(hook, packet, &flow, now) {
            return verdict;
        }
    }
    let Some(workspace) = workspace(hook) else {
        return Verdict::DROP;
    };
    let mut service = false;
    if half.is_none() {
        hook.step(Step::FlowMiss, 0, 0, 0);
        service = frontend(hook, packet, &mut workspace.service);
        half = restored(hook, packet, service, &mut workspace.flow, now);
    }
    let mut goes = false;
    if let Some(half) = half {
        hook.read_into(half, &mut workspace.flow);
        if H::Address::IS_V6
            && let Some(verdict) = follow::at_once(hook, packet, &workspace.flow, now)
        {
            return verdict;
        }
        match follow::tend(hook, packet, half, workspace, now) {
            Tended::Goes => goes = true,
            Tended::Done(verdict) => return verdict,
            Tended::Over => service = frontend(hook, packet, &mut workspace.service),
        }
    }
    if !goes {
        if !service {
            return no_frontend(hook, packet);
        }
        if packet.is_martian() || is_for_another(hook) || !packet.has_ports() {
            return Verdict::PASS;
        }
        let Service { id, flags, ring_size, .. } = workspace.service;
        hook.step(Step::ServiceHit, id, flags, ring_size);
        return Verdict::open(packet.tunnelled);
    }
    send::send(hook, packet, &workspace.flow)
}

/// False where the filter rules a tuple out.
#[inline(always)]
fn may_be_ours<H: Hook>(hook: &H, key: &FlowKey<H::Address>) -> bool {
    if H::STAGE == Stage::TcxEgress {
        return hook.filter(Bit::endpoint_port(key.src_port_be));
    }
    is_snat_port(hook, key)
        || hook.filter(Bit::frontend_port(key.dst_port_be))
        || hook.filter(Bit::vip(key.dst_be))
}

/// True where the destination port is one that replies to SNAT come back to.
#[inline(always)]
fn is_snat_port<H: Hook>(hook: &H, key: &FlowKey<H::Address>) -> bool {
    let (min, max) = hook.snat_ports();
    let port = u16::from_be(key.dst_port_be);
    port >= min && port <= max
}

/// Copies the service that the packet is addressed to; false where there is none. At egress nothing is.
#[inline(always)]
fn frontend<H: Hook>(hook: &H, packet: &Packet<H::Address>, service: &mut Service) -> bool {
    let key = ServiceKey::new(packet.key.dst_be.address(), packet.key.dst_port_be, packet.protocol);
    H::STAGE != Stage::TcxEgress && hook.service(&key, service)
}

/// True where the address is a VIP of ours.
#[inline(always)]
fn is_vip<H: Hook>(hook: &H, address: H::Address) -> bool {
    hook.filter(Bit::vip(address)) && hook.has_catch_all(&ServiceKey::catch_all(address.address()))
}

/// A half that the table lost, put back from its record. Looked for only where a packet can belong to a flow of ours:
/// at egress, towards a frontend, and towards a SNAT port.
#[inline(always)]
fn restored<H: Hook>(
    hook: &H,
    packet: &Packet<H::Address>,
    has_frontend: bool,
    flow: &mut Flow<H::Address>,
    now: Tick,
) -> Option<H::Half> {
    if packet.opens() || !(H::STAGE == Stage::TcxEgress || has_frontend || is_snat_port(hook, &packet.key)) {
        return None;
    }
    if !hook.find_record(hash::flow(&packet.key), &packet.key, now, flow) {
        return None;
    }
    hook.step(Step::FlowRestored, u32::from(flow.flags), flow.backend, 0);
    hook.insert(&packet.key, flow).ok()?;
    hook.count(Stat::HalfRestored);
    hook.flow(&packet.key)
}

/// A destination without a frontend: the unknown port of a VIP, or not ours.
#[inline(always)]
fn no_frontend<H: Hook>(hook: &H, packet: &Packet<H::Address>) -> Verdict {
    if H::STAGE == Stage::TcxEgress {
        return Verdict::PASS;
    }
    hook.step(Step::ServiceMiss, 0, 0, 0);
    if !packet.has_ports() || !is_vip(hook, packet.key.dst_be) || packet.is_martian() || is_for_another(hook)
    {
        return Verdict::PASS;
    }
    hook.step(Step::CatchAll, 0, 0, 0);
    Verdict::reject(DropReason::UnknownPort)
}

/// True where the frame is addressed to another station and only reached us because a bridge flooded it.
#[inline(always)]
fn is_for_another<H: Hook>(hook: &H) -> bool {
    if H::L3 == 0 {
        return false;
    }
    let (Some(interface), Some(frame)) = (hook.interface(hook.ifindex()), hook.bytes(0, 6)) else {
        return false;
    };
    let own = interface.mac;
    let own = [
        u16::from_ne_bytes([own[0], own[1]]),
        u16::from_ne_bytes([own[2], own[3]]),
        u16::from_ne_bytes([own[4], own[5]]),
    ];
    let known = own[0] | own[1] | own[2] != 0;
    known && (own[0] != frame.u16(0) || own[1] != frame.u16(2) || own[2] != frame.u16(4))
}

/// Counts a drop.
#[inline(always)]
fn drop<H: Hook>(hook: &H, reason: DropReason) -> Verdict {
    hook.count_drop(reason as u32);
    hook.step(Step::Drop, reason as u32, 0, 0);
    Verdict::dropped(reason)
}
