//! Packets on their way: translated or encapsulated, and out.

use super::{Hook, Stage, Verdict, drop, fragment, tunnel};
use crate::{
    drop_reason::DropReason,
    flow::{FLOW_ENCAPSULATED, FLOW_LOCAL, FLOW_REVERSE, FLOW_TAGGED, FLOW_VIA_STACK, Flow},
    packet::{Form, Packet, TCP_LEN},
    stat::Stat,
    trace::Step,
};

/// Translates a packet and sends it on its way.
#[inline(always)]
pub(super) fn send<H: Hook>(hook: &mut H, packet: &Packet<H::Address>, flow: &Flow<H::Address>) -> Verdict {
    if packet.form == Form::FIRST_FRAGMENT {
        fragment::keep_ports(hook, packet);
    }
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
        if is_too_big(hook, packet, flow.mtu) {
            hook.step(Step::TooBig, packet.total_len, u32::from(flow.mtu), 0);
            return Verdict::too_big(flow.mtu);
        }
    }
    let bytes = H::L3 as u64 + u64::from(packet.total_len);
    hook.count_packet(flow.service, flow.flags & FLOW_REVERSE != 0, bytes);
    if flow.flags & FLOW_ENCAPSULATED != 0 {
        if !tunnel::encapsulate(hook, packet, flow) {
            return drop(hook, DropReason::Truncated);
        }
    } else {
        let ports =
            u32::from(u16::from_be(flow.src_port_be)) << 16 | u32::from(u16::from_be(flow.dst_port_be));
        hook.step_between(Step::Rewrite, [ports, 0, 0], flow.src_be, flow.dst_be);
        if !hook.rewrite(packet, flow, !local) {
            return drop(hook, DropReason::Truncated);
        }
    }
    if local {
        hook.step(Step::Pass, 0, 0, 0);
        return Verdict::PASS;
    }
    leave(hook, flow.ifindex, &flow.macs, flow.flags)
}

/// Out through an interface; `flags` are the flow's.
#[inline(always)]
pub(super) fn leave<H: Hook>(hook: &mut H, ifindex: u32, macs: &[u32; 3], flags: u8) -> Verdict {
    hook.step(Step::Forward, ifindex, 0, 0);
    if !hook.set_macs(macs) {
        return drop(hook, DropReason::Truncated);
    }
    if H::STAGE == Stage::Xdp && flags & FLOW_TAGGED != 0 {
        Verdict::forward_tagged(ifindex)
    } else {
        Verdict::forward(ifindex)
    }
}

/// True where the packet, or each of those that it will be cut into, is longer than `mtu`.
#[inline(always)]
fn is_too_big<H: Hook>(hook: &H, packet: &Packet<H::Address>, mtu: u16) -> bool {
    if mtu == 0 || packet.total_len <= u32::from(mtu) {
        return false;
    }
    match hook.segment_payload() {
        0 => true,
        // TCP options are not counted: a segment that only they make too long is cut by its sender's own MSS.
        payload => packet.headers_len::<H>() as u32 + TCP_LEN as u32 + payload > u32::from(mtu),
    }
}
