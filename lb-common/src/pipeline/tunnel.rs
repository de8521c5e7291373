//! Direct server return: the first node sends a packet to the endpoint's node as it is, inside an outer IP header
//! (RFC 2003, RFC 2473), and the endpoint's node takes that header off and translates.

use super::{FIB_NOT_FORWARDED, Hook, Stage, Verdict, drop, header, is_vip, way};
use crate::{
    address::{Address, IpAddress},
    checksum,
    drop_reason::DropReason,
    flow::Flow,
    packet::{Form, IPIP, IPV4_LEN, IPV6_IN_IP, IPV6_LEN, Packet},
    stat::Stat,
    trace::Step,
};

/// Bytes of an outer header.
#[inline(always)]
pub(super) const fn outer_len<H: Hook>() -> usize {
    if H::Address::IS_V6 { IPV6_LEN } else { IPV4_LEN }
}

/// Puts the flow's outer header around a packet, which loses a hop as in a router (RFC 2003 §3.1, RFC 2473 §3.1).
#[inline(always)]
pub(super) fn encapsulate<H: Hook>(
    hook: &mut H,
    packet: &Packet<H::Address>,
    flow: &Flow<H::Address>,
) -> bool {
    hook.step_between(Step::Encapsulated, [0; 3], flow.src_be, flow.dst_be);
    hook.count(Stat::Encapsulated);
    let protocol = if H::Address::IS_V6 { IPV6_IN_IP } else { IPIP };
    take_hop(hook, packet.ttl)
        && hook.encapsulate(outer_len::<H>() as u32)
        && header::store_ip(hook, packet.total_len as u16, protocol, flow.src_be, flow.dst_be)
}

/// Takes one off the TTL or hop limit.
#[inline(always)]
pub(super) fn take_hop<H: Hook>(hook: &mut H, ttl: u8) -> bool {
    if H::Address::IS_V6 {
        let Some(ip) = hook.bytes(H::L3, IPV6_LEN) else {
            return false;
        };
        return hook.store(H::L3 + 6, &[u16::from_ne_bytes([ip.u8(6), ttl - 1])]);
    }
    let Some(ip) = hook.bytes(H::L3, IPV4_LEN) else {
        return false;
    };
    let sum = checksum::apply(ip.u16(10), u32::from(checksum::TTL_DELTA));
    hook.store(H::L3 + 8, &[u16::from_ne_bytes([ttl - 1, ip.u8(9)]), sum])
}

/// Takes the outer header off a packet that a node of the cluster sent to this one for a VIP, and reads what was inside.
/// Everything else in a tunnel is left as it is: an Err with the verdict.
#[inline(always)]
pub(super) fn decapsulate<H: Hook>(
    hook: &mut H,
    outer: &Packet<H::Address>,
) -> Result<Packet<H::Address>, Verdict> {
    if H::STAGE == Stage::TcxEgress {
        return Err(Verdict::PASS);
    }
    hook.pull(outer.l4 + IPV6_LEN);
    let Some(inner) = inner_destination(hook, outer.l4) else {
        return Err(Verdict::PASS);
    };
    if !is_vip(hook, inner) || !hook.is_peer(outer.key.src_be) || !is_for_this_node(hook, outer) {
        return Err(Verdict::PASS);
    }
    hook.step_between(Step::Decapsulated, [0; 3], outer.key.src_be, outer.key.dst_be);
    hook.count(Stat::Decapsulated);
    if !hook.decapsulate(outer.headers_len::<H>() as u32) {
        return Err(drop(hook, DropReason::Truncated));
    }
    match Packet::parse(hook) {
        Some(packet) if packet.form != Form::TUNNEL => Ok(Packet { tunnelled: 1, ..packet }),
        _ => Err(drop(hook, DropReason::UnknownProtocol)),
    }
}

/// True where the outer header ends at this node. The address of the device that the packet came in by needs no
/// route look-up, which would be a third of the whole.
#[inline(always)]
fn is_for_this_node<H: Hook>(hook: &H, outer: &Packet<H::Address>) -> bool {
    let device = hook.interface(hook.ifindex());
    device.is_some_and(|device| device.source::<H::Address>().is(outer.key.dst_be))
        || way::look_up(hook, outer, outer.key.src_be, outer.key.dst_be).code == FIB_NOT_FORWARDED
}

/// Destination of the packet inside.
#[inline(always)]
fn inner_destination<H: Hook>(hook: &H, offset: usize) -> Option<H::Address> {
    if H::Address::IS_V6 {
        let ip = hook.bytes(offset, IPV6_LEN)?;
        let words = [ip.u32(24), ip.u32(28), ip.u32(32), ip.u32(36)];
        (ip.u8(0) >> 4 == 6).then(|| H::Address::from_address(Address::v6(words)))
    } else {
        let ip = hook.bytes(offset, IPV4_LEN)?;
        (ip.u8(0) >> 4 == 4).then(|| H::Address::from_address(Address::v4(ip.u32(16))))
    }
}
