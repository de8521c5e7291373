//! Packets that Sluice sends itself, in the backend's stead: a TCP reset (RFC 9293 §3.10.7.1) or an ICMP error (RFC 792,
//! RFC 4443), with the packet's own destination, the VIP, as source.

use super::{Hook, Verdict, header, header::halves};
use crate::{
    address::IpAddress as _,
    checksum,
    drop_reason::DropReason,
    limit,
    packet::{ETHERNET_LEN, ICMP, ICMP_LEN, ICMPV6, IPV4_LEN, IPV6_LEN, Packet, TCP_LEN, icmp4, icmp6},
    stat::Stat,
    tcp::{TCP, flag},
    trace::Step,
};

/// ICMP type and code.
#[derive(Clone, Copy)]
struct IcmpError {
    kind: u8,
    code: u8,
}

/// Bytes of the offending packet's payload that an ICMP error quotes: ports and, of TCP, the sequence number by which
/// the sender finds the connection (RFC 792).
const QUOTED_PAYLOAD: usize = 8;
/// Most bytes of IP headers that are quoted: IPv4 with options, or IPv6 with a few extension headers.
const QUOTED_HEADERS: usize = 80;

/// Turns the packet, refused for the [`DropReason`] in the low byte of `number`, into its answer, within the rate limit;
/// drops it where there is none to give.
#[inline(always)]
pub fn answer<H: Hook>(hook: &mut H, number: u32) -> Verdict {
    let (reason, mtu) = (number & 0xff, number >> 8);
    hook.count_drop(reason);
    hook.step(Step::Drop, reason, 0, 0);
    let Some(mut packet) = Packet::parse(hook) else {
        return Verdict::DROP;
    };
    packet.blur(hook.zero());
    if packet.tcp_flags & flag::RST != 0 || !packet.has_ports() {
        return Verdict::DROP;
    }
    if !hook.take_token(limit::ANSWERS, limit::ANSWERS_PER_TICK, hook.now()) {
        hook.count(Stat::AnswerSuppressed);
        return Verdict::DROP;
    }
    let too_big = reason == DropReason::PacketTooBig as u32;
    let expired = reason == DropReason::TtlExpired as u32;
    let reset = packet.protocol == TCP && !too_big && !expired;
    let error = error::<H>(too_big, expired);
    let written = if reset { write_reset(hook, &packet) } else { write_icmp(hook, &packet, error, mtu) };
    if written.is_none() || !turn_around(hook) {
        return Verdict::DROP;
    }
    hook.count(Stat::Answered);
    hook.step(Step::Answer, if reset { 0 } else { u32::from(error.kind) }, u32::from(error.code), 0);
    Verdict::ANSWER
}

#[inline(always)]
const fn error<H: Hook>(too_big: bool, expired: bool) -> IcmpError {
    let v6 = <H::Address as crate::address::IpAddress>::IS_V6;
    let (kind, code) = match (v6, too_big, expired) {
        (false, true, _) => (icmp4::UNREACHABLE, icmp4::FRAGMENTATION_NEEDED),
        (false, _, true) => (icmp4::TIME_EXCEEDED, 0),
        (false, ..) => (icmp4::UNREACHABLE, icmp4::PORT_UNREACHABLE),
        (true, true, _) => (icmp6::TOO_BIG, 0),
        (true, _, true) => (icmp6::TIME_EXCEEDED, 0),
        (true, ..) => (icmp6::UNREACHABLE, icmp6::PORT_UNREACHABLE),
    };
    IcmpError { kind, code }
}

/// Overwrites the packet with a reset of its connection.
#[inline(always)]
fn write_reset<H: Hook>(hook: &mut H, packet: &Packet<H::Address>) -> Option<()> {
    let tcp = hook.bytes(packet.l4, TCP_LEN)?;
    let (sequence, acknowledged, data_offset) = (u32::from_be(tcp.u32(4)), tcp.u32(8), tcp.u8(12) >> 4);
    let (sequence_be, acknowledgment_be, flags) = if packet.tcp_flags & flag::ACK != 0 {
        (acknowledged, 0, flag::RST)
    } else {
        let headers = packet.headers_len::<H>() + usize::from(data_offset) * 4;
        let payload = packet.total_len.wrapping_sub(headers as u32);
        let syn = u32::from(packet.tcp_flags & flag::SYN != 0);
        let fin = u32::from(packet.tcp_flags & flag::FIN != 0);
        (0, sequence.wrapping_add(payload + syn + fin).to_be(), flag::RST | flag::ACK)
    };
    let back = packet.key.reversed();
    let (sequence, acknowledgment) = (halves(sequence_be), halves(acknowledgment_be));
    let mut reset = [
        back.src_port_be,
        back.dst_port_be,
        sequence[0],
        sequence[1],
        acknowledgment[0],
        acknowledgment[1],
        u16::from_ne_bytes([(TCP_LEN as u8 / 4) << 4, flags]),
        0,
        0,
        0,
    ];
    let pseudo = header::pseudo(back.src_be, back.dst_be, TCP, TCP_LEN as u16);
    reset[8] = !checksum::fold(pseudo + header::sum(&reset));
    let ip_len = if H::Address::IS_V6 { IPV6_LEN } else { IPV4_LEN };
    let length = H::L3 + ip_len + TCP_LEN;
    // Options and extension headers of the packet are not repeated: the answer starts where they did.
    (hook.resize(length as u32)
        && header::store_ip(hook, TCP_LEN as u16, TCP, back.src_be, back.dst_be)
        && hook.store(H::L3 + ip_len, &reset))
    .then_some(())
}

/// Puts IP and ICMP headers before the packet and cuts it to what the error quotes.
#[inline(always)]
fn write_icmp<H: Hook>(hook: &mut H, packet: &Packet<H::Address>, error: IcmpError, mtu: u32) -> Option<()> {
    let (protocol, ip_len) = if H::Address::IS_V6 { (ICMPV6, IPV6_LEN) } else { (ICMP, IPV4_LEN) };
    let quoted_len = packet.headers_len::<H>() + QUOTED_PAYLOAD;
    let mut quoted = 0u64;
    let mut offset = 0;
    while offset < QUOTED_HEADERS + QUOTED_PAYLOAD {
        if offset >= quoted_len {
            break;
        }
        quoted += u64::from(hook.bytes(H::L3 + offset, 4)?.u32(0));
        offset += 4;
    }
    if quoted_len > QUOTED_HEADERS + QUOTED_PAYLOAD {
        return None;
    }
    let payload_len = (ICMP_LEN + quoted_len) as u16;
    let back = packet.key.reversed();
    // The MTU takes the last word: 16 bits of it for IPv4 (RFC 1191 §4), 32 for IPv6 (RFC 4443 §3.2).
    let rest = halves(mtu.to_be());
    let mut icmp = [u16::from_ne_bytes([error.kind, error.code]), 0, rest[0], rest[1]];
    let covered =
        if H::Address::IS_V6 { header::pseudo(back.src_be, back.dst_be, protocol, payload_len) } else { 0 };
    icmp[1] = !checksum::fold(covered + header::sum(&icmp) + quoted);
    (hook.grow((ip_len + ICMP_LEN) as u32)
        && header::store_ip(hook, payload_len, protocol, back.src_be, back.dst_be)
        && hook.store(H::L3 + ip_len, &icmp)
        && hook.resize((H::L3 + ip_len + usize::from(payload_len)) as u32))
    .then_some(())
}

/// Swaps the frame's addresses.
#[inline(always)]
pub(super) fn turn_around<H: Hook>(hook: &mut H) -> bool {
    if H::L3 != ETHERNET_LEN {
        return true;
    }
    let Some(frame) = hook.bytes(0, ETHERNET_LEN) else {
        return false;
    };
    let swapped = [frame.u16(6), frame.u16(8), frame.u16(10), frame.u16(0), frame.u16(2), frame.u16(4)];
    hook.store(0, &swapped)
}
