//! Packets that Sluice sends itself, in the backend's stead: a TCP reset (RFC 9293 §3.10.7.1) or an ICMP error
//! (RFC 792), with the frontend as source.

use super::{Hook, Verdict};
use crate::{
    address::IpAddress,
    checksum,
    drop_reason::DropReason,
    packet::{ETHERNET_LEN, IPV4_LEN, Packet, TCP_LEN},
    stat::Stat,
    tcp::{TCP, flag},
    trace::Step,
};

/// ICMP type and code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IcmpError {
    /// Type.
    pub kind: u8,
    /// Code.
    pub code: u8,
}

const PORT_UNREACHABLE: IcmpError = IcmpError { kind: 3, code: 3 };
const TIME_EXCEEDED: IcmpError = IcmpError { kind: 11, code: 0 };

/// ICMP header length.
const ICMP_LEN: usize = 8;
/// Bytes of the offending datagram's payload that an ICMP error quotes at least (RFC 792).
const QUOTED_PAYLOAD: usize = 8;
const PROTOCOL_ICMP: u8 = 1;
/// TTL of packets that we originate (RFC 1122 §3.2.1.7 recommends 64).
const TTL: u8 = 64;

/// Turns the packet, refused for the [`DropReason`] numbered `reason`, into its answer, within the rate limit; drops it
/// where there is none to give.
#[inline(always)]
pub(super) fn answer<H: Hook>(hook: &mut H, packet: &Packet<H::Address>, reason: u32) -> Verdict {
    hook.count_drop(reason);
    hook.step(Step::Drop, reason, 0, 0);
    if packet.tcp_flags & flag::RST != 0 {
        return Verdict::DROP;
    }
    if !hook.take_answer_token(hook.now()) {
        hook.count(Stat::AnswerSuppressed);
        return Verdict::DROP;
    }
    let error = if reason == DropReason::TtlExpired as u32 { TIME_EXCEEDED } else { PORT_UNREACHABLE };
    let reset = packet.protocol == TCP && error.kind == PORT_UNREACHABLE.kind;
    let written = if reset { write_reset(hook, packet) } else { write_icmp(hook, packet, error) };
    if written.is_none() || !turn_around(hook) {
        return Verdict::DROP;
    }
    hook.count(Stat::Answered);
    hook.step(Step::Answer, if reset { 0 } else { u32::from(error.kind) }, 0, 0);
    Verdict::ANSWER
}

/// An IPv4 header of 20 bytes, as 16-bit words in memory order. `id` 0 with DF is what Linux sends for such packets
/// (RFC 6864 §4.1). Addresses in network byte order.
#[inline(always)]
pub fn ip_header(total_len: u16, protocol: u8, src_be: u32, dst_be: u32) -> [u16; 10] {
    let half = |address: u32| {
        let bytes = address.to_ne_bytes();
        [u16::from_ne_bytes([bytes[0], bytes[1]]), u16::from_ne_bytes([bytes[2], bytes[3]])]
    };
    let (src, dst) = (half(src_be), half(dst_be));
    let mut words = [
        u16::from_ne_bytes([0x45, 0]),
        total_len.to_be(),
        0,
        0x4000u16.to_be(),
        u16::from_ne_bytes([TTL, protocol]),
        0,
        src[0],
        src[1],
        dst[0],
        dst[1],
    ];
    words[5] = !sum(&words);
    words
}

/// An ICMP header of 8 bytes over a quoted datagram whose words sum to `quoted`.
#[inline(always)]
pub fn icmp_header(error: IcmpError, quoted: u16) -> [u16; 4] {
    let first = u16::from_ne_bytes([error.kind, error.code]);
    [first, !checksum::combine(first, quoted), 0, 0]
}

#[inline(always)]
fn sum<const N: usize>(words: &[u16; N]) -> u16 {
    let mut total = 0u64;
    let mut index = 0;
    while index < N {
        total += u64::from(words[index]);
        index += 1;
    }
    checksum::fold(total)
}

/// Overwrites the packet with a reset of its connection.
#[inline(always)]
fn write_reset<H: Hook>(hook: &mut H, packet: &Packet<H::Address>) -> Option<()> {
    let tcp = hook.bytes(packet.l4, TCP_LEN)?;
    let (sequence, acknowledged, data_offset) = (u32::from_be(tcp.u32(4)), tcp.u32(8), tcp.u8(12) >> 4);
    let (sequence_be, acknowledgment_be, flags) = if packet.tcp_flags & flag::ACK != 0 {
        (acknowledged, 0, flag::RST)
    } else {
        let headers = packet.l4 - H::L3 + usize::from(data_offset) * 4;
        let payload = u32::from(packet.total_len).wrapping_sub(headers as u32);
        let syn = u32::from(packet.tcp_flags & flag::SYN != 0);
        let fin = u32::from(packet.tcp_flags & flag::FIN != 0);
        (0, sequence.wrapping_add(payload + syn + fin).to_be(), flag::RST | flag::ACK)
    };
    let back = packet.key.reversed();
    let ip = ip_header((IPV4_LEN + TCP_LEN) as u16, TCP, back.src_be.words()[3], back.dst_be.words()[3]);
    let words = |value: u32| {
        let bytes = value.to_ne_bytes();
        [u16::from_ne_bytes([bytes[0], bytes[1]]), u16::from_ne_bytes([bytes[2], bytes[3]])]
    };
    let (sequence, acknowledgment) = (words(sequence_be), words(acknowledgment_be));
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
    let pseudo = [ip[6], ip[7], ip[8], ip[9], u16::from(TCP).to_be(), (TCP_LEN as u16).to_be()];
    reset[8] = !checksum::combine(sum(&pseudo), sum(&reset));
    let length = H::L3 + IPV4_LEN + TCP_LEN;
    (hook.store(H::L3, &ip) && hook.store(H::L3 + IPV4_LEN, &reset) && hook.cut(length as u32)).then_some(())
}

/// Puts IP and ICMP headers before the packet and cuts it to what the error quotes.
#[inline(always)]
fn write_icmp<H: Hook>(hook: &mut H, packet: &Packet<H::Address>, error: IcmpError) -> Option<()> {
    const ADDED: usize = IPV4_LEN + ICMP_LEN;
    let quoted_len = packet.l4 - H::L3 + QUOTED_PAYLOAD;
    let mut quoted = 0u64;
    let mut offset = 0;
    // At most 60 bytes of header (RFC 791) and the quoted payload, in words of 4.
    while offset < 60 + QUOTED_PAYLOAD {
        if offset >= quoted_len {
            break;
        }
        let word = hook.bytes(H::L3 + offset, 4)?.u32(0);
        quoted += u64::from(word);
        offset += 4;
    }
    let icmp = icmp_header(error, checksum::fold(quoted));
    let total_len = ADDED + quoted_len;
    let ip = ip_header(
        total_len as u16,
        PROTOCOL_ICMP,
        packet.key.dst_be.words()[3],
        packet.key.src_be.words()[3],
    );
    (hook.grow(ADDED as u32)
        && hook.store(H::L3, &ip)
        && hook.store(H::L3 + IPV4_LEN, &icmp)
        && hook.cut((H::L3 + total_len) as u32))
    .then_some(())
}

/// Swaps the frame's addresses.
#[inline(always)]
fn turn_around<H: Hook>(hook: &mut H) -> bool {
    if H::L3 != ETHERNET_LEN {
        return true;
    }
    let Some(frame) = hook.bytes(0, ETHERNET_LEN) else {
        return false;
    };
    let swapped = [frame.u16(6), frame.u16(8), frame.u16(10), frame.u16(0), frame.u16(2), frame.u16(4)];
    hook.store(0, &swapped)
}
