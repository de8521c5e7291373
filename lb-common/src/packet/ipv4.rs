//! IPv4 (RFC 791).

use super::{ETHERNET_LEN, ETHERTYPE_IPV4_BE, Form, ICMP, ICMP_LEN, IPIP, IPV4_LEN, Packet, transport};
use crate::{
    address::{Address, IpAddress},
    flow::FlowKey,
    pipeline::Hook,
    tcp::SCTP,
};

/// More-fragments bit and fragment offset of the flags word.
const FRAGMENT_MASK_BE: u16 = 0x3fffu16.to_be();
/// Fragment offset.
const OFFSET_MASK_BE: u16 = 0x1fffu16.to_be();

/// ICMP types (RFC 792).
pub(crate) mod icmp {
    pub(crate) const ECHO_REPLY: u8 = 0;
    pub(crate) const UNREACHABLE: u8 = 3;
    pub(crate) const ECHO: u8 = 8;
    pub(crate) const TIME_EXCEEDED: u8 = 11;
    pub(crate) const PARAMETER_PROBLEM: u8 = 12;
    /// Code of [`UNREACHABLE`].
    pub(crate) const PORT_UNREACHABLE: u8 = 3;
    /// Code of [`UNREACHABLE`] (RFC 1191).
    pub(crate) const FRAGMENTATION_NEEDED: u8 = 4;
}

#[inline(always)]
pub(super) fn parse<H: Hook>(hook: &H) -> Option<Packet<H::Address>> {
    if H::L3 == ETHERNET_LEN {
        let ethernet = hook.bytes(0, ETHERNET_LEN + IPV4_LEN)?;
        if ethernet.u16(12) != ETHERTYPE_IPV4_BE {
            return None;
        }
    }
    let ip = hook.bytes(H::L3, IPV4_LEN)?;
    let version_ihl = ip.u8(0);
    if version_ihl >> 4 != 4 || version_ihl & 0xf < 5 {
        return None;
    }
    let header_len = usize::from(version_ihl & 0xf) * 4;
    let l4 = H::L3 + header_len;
    let total_len = u16::from_be(ip.u16(2));
    let fragment = ip.u16(6) & FRAGMENT_MASK_BE;
    let (protocol, ttl, id_be) = (ip.u8(9), ip.u8(8), ip.u16(4));
    let address = |word| H::Address::from_address(Address::v4(word));
    let (src_be, dst_be) = (address(ip.u32(12)), address(ip.u32(16)));
    let end = H::L3 + usize::from(total_len);
    if usize::from(total_len) < header_len || (end > hook.linear_len() && end > hook.len()) {
        return None;
    }
    let mut packet = Packet {
        key: FlowKey::new(src_be, dst_be, 0, 0, protocol),
        l4,
        total_len: u32::from(total_len),
        fragment_id_be: 0,
        ttl,
        tcp_flags: 0,
        protocol,
        form: Form::OTHER,
        tunnelled: 0,
        zero: 0,
    };
    if fragment != 0 {
        packet.fragment_id_be = u32::from(id_be);
        if fragment & OFFSET_MASK_BE != 0 {
            packet.form = Form::LATER_FRAGMENT;
            return Some(packet);
        }
        // The checksum of a fragmented SCTP packet covers bytes that are not here.
        if protocol == SCTP {
            return None;
        }
    }
    match protocol {
        ICMP | IPIP if fragment != 0 => {}
        IPIP => packet.form = Form::TUNNEL,
        ICMP => packet.form = icmp_form(hook, l4),
        _ => {
            if let Some(transport) = transport::parse(hook, l4, protocol) {
                if usize::from(total_len) < header_len + transport.len {
                    return None;
                }
                packet.key.src_port_be = transport.src_port_be;
                packet.key.dst_port_be = transport.dst_port_be;
                packet.tcp_flags = transport.tcp_flags;
                packet.form = if fragment == 0 { Form::TRANSPORT } else { Form::FIRST_FRAGMENT };
            }
        }
    }
    Some(packet)
}

#[inline(always)]
fn icmp_form<H: Hook>(hook: &H, l4: usize) -> Form {
    match hook.bytes(l4, ICMP_LEN).map(|header| header.u8(0)) {
        Some(icmp::ECHO) => Form::ECHO,
        Some(icmp::UNREACHABLE | icmp::TIME_EXCEEDED | icmp::PARAMETER_PROBLEM) => Form::ICMP_ERROR,
        _ => Form::OTHER,
    }
}
