//! IPv6 and its extension headers (RFC 8200).

use super::{
    ETHERNET_LEN, ETHERTYPE_IPV6_BE, Form, ICMP_LEN, ICMPV6, IPV6_IN_IP, IPV6_LEN, Packet, transport,
};
use crate::{
    address::{Address, IpAddress},
    flow::FlowKey,
    pipeline::Hook,
    tcp::{TCP, UDP},
};

/// Next-header values of extension headers (RFC 8200 §4).
mod extension {
    pub(super) const HOP_BY_HOP: u8 = 0;
    pub(super) const ROUTING: u8 = 43;
    pub(super) const DESTINATION: u8 = 60;
}

/// Next-header value of the fragment header.
pub(crate) const FRAGMENT: u8 = 44;
/// Length of a fragment header (RFC 8200 §4.5).
pub(crate) const FRAGMENT_LEN: usize = 8;

/// Extension headers followed: each kind once, and destination options twice (RFC 8200 §4.1).
const EXTENSIONS: u32 = 5;
/// Fragment offset of a fragment header's third and fourth byte, in units of eight bytes; the low three bits are flags.
const OFFSET_MASK_BE: u16 = 0xfff8u16.to_be();
/// The M flag.
const MORE_BE: u16 = 1u16.to_be();

/// ICMPv6 types (RFC 4443).
pub(crate) mod icmp {
    pub(crate) const UNREACHABLE: u8 = 1;
    pub(crate) const TOO_BIG: u8 = 2;
    pub(crate) const TIME_EXCEEDED: u8 = 3;
    pub(crate) const PARAMETER_PROBLEM: u8 = 4;
    pub(crate) const ECHO: u8 = 128;
    pub(crate) const ECHO_REPLY: u8 = 129;
    /// Code of [`UNREACHABLE`].
    pub(crate) const PORT_UNREACHABLE: u8 = 4;
}

#[inline(always)]
pub(super) fn parse<H: Hook>(hook: &H) -> Option<Packet<H::Address>> {
    if H::L3 == ETHERNET_LEN {
        let ethernet = hook.bytes(0, ETHERNET_LEN + IPV6_LEN)?;
        if ethernet.u16(12) != ETHERTYPE_IPV6_BE {
            return None;
        }
    }
    let ip = hook.bytes(H::L3, IPV6_LEN)?;
    if ip.u8(0) >> 4 != 6 {
        return None;
    }
    let address = |at| {
        H::Address::from_address(Address::v6([ip.u32(at), ip.u32(at + 4), ip.u32(at + 8), ip.u32(at + 12)]))
    };
    let total_len = u32::from(u16::from_be(ip.u16(4))) + IPV6_LEN as u32;
    let end = H::L3 + total_len as usize;
    if end > hook.linear_len() && end > hook.len() {
        return None;
    }
    let mut packet = Packet {
        key: FlowKey::new(address(8), address(24), 0, 0, ip.u8(6)),
        l4: H::L3 + IPV6_LEN,
        total_len,
        fragment_id_be: 0,
        ttl: ip.u8(7),
        tcp_flags: 0,
        protocol: ip.u8(6),
        form: Form::OTHER,
        tunnelled: 0,
        zero: 0,
    };
    let mut fragmented = false;
    if is_extension(packet.protocol) {
        fragmented = extensions(hook, &mut packet)?;
        packet.key.protocol = u32::from(packet.protocol);
        if packet.form == Form::LATER_FRAGMENT {
            return Some(packet);
        }
    }
    match packet.protocol {
        // What is fragmented and neither TCP nor UDP: its checksum covers bytes that are not here.
        TCP | UDP if fragmented => {}
        _ if fragmented => return Some(packet),
        IPV6_IN_IP => packet.form = Form::TUNNEL,
        ICMPV6 => packet.form = icmp_form(hook, packet.l4),
        _ => {}
    }
    if let Some(transport) = transport::parse(hook, packet.l4, packet.protocol) {
        if (packet.total_len as usize) < packet.l4 - H::L3 + transport.len {
            return None;
        }
        packet.key.src_port_be = transport.src_port_be;
        packet.key.dst_port_be = transport.dst_port_be;
        packet.tcp_flags = transport.tcp_flags;
        packet.form = if fragmented { Form::FIRST_FRAGMENT } else { Form::TRANSPORT };
    }
    Some(packet)
}

#[inline(always)]
const fn is_extension(next: u8) -> bool {
    matches!(next, extension::HOP_BY_HOP | extension::ROUTING | FRAGMENT | extension::DESTINATION)
}

/// What follows the fragment header at `at`; None where it is that of a later fragment.
#[inline(always)]
pub(crate) fn behind_fragment_header<H: Hook>(hook: &H, at: usize) -> Option<u8> {
    let header = hook.bytes(at, FRAGMENT_LEN)?;
    (header.u16(2) & OFFSET_MASK_BE == 0).then(|| header.u8(0))
}

/// Follows the extension headers to the upper-layer header; true where the packet is the first of several fragments.
/// An authentication header is not followed: it covers the addresses, which are not to change then (RFC 4302 §3.3.3).
#[inline(always)]
fn extensions<H: Hook>(hook: &H, packet: &mut Packet<H::Address>) -> Option<bool> {
    let mut fragmented = false;
    for _ in 0..EXTENSIONS {
        if !is_extension(packet.protocol) {
            return Some(fragmented);
        }
        let header = hook.bytes(packet.l4, 8)?;
        let next = header.u8(0);
        if packet.protocol == FRAGMENT {
            let word = header.u16(2);
            if word & (OFFSET_MASK_BE | MORE_BE) != 0 {
                packet.fragment_id_be = header.u32(4);
                fragmented = true;
                if word & OFFSET_MASK_BE != 0 {
                    packet.protocol = next;
                    packet.form = Form::LATER_FRAGMENT;
                    return Some(true);
                }
            }
            packet.l4 += FRAGMENT_LEN;
        } else {
            packet.l4 += 8 + usize::from(header.u8(1)) * 8;
        }
        packet.protocol = next;
    }
    (!is_extension(packet.protocol)).then_some(fragmented)
}

#[inline(always)]
fn icmp_form<H: Hook>(hook: &H, l4: usize) -> Form {
    match hook.bytes(l4, ICMP_LEN).map(|header| header.u8(0)) {
        Some(icmp::ECHO) => Form::ECHO,
        Some(icmp::UNREACHABLE | icmp::TOO_BIG | icmp::TIME_EXCEEDED | icmp::PARAMETER_PROBLEM) => {
            Form::ICMP_ERROR
        }
        _ => Form::OTHER,
    }
}
