//! ICMP errors about packets of a flow (RFC 792, RFC 4443 §2.4): the packet that they quote names the flow, and the error
//! goes to the side that sent it, in the words that it knows.

use super::{Hook, Stage, Verdict, drop, follow, header::halves, may_be_ours, send, tunnel, way, workspace};
use crate::{
    address::{Address, IpAddress},
    checksum,
    drop_reason::DropReason,
    flow::{FLOW_ENCAPSULATED, FLOW_LOCAL, FLOW_VIA_STACK, Flow, FlowKey},
    hash,
    packet::{FRAGMENT, FRAGMENT_LEN, ICMP_LEN, IPV4_LEN, IPV6_LEN, Packet, behind_fragment_header},
    stat::Stat,
    tcp::{SCTP, TCP, UDP},
    trace::Step,
    workspace::Workspace,
};

/// Fragment offset of the IPv4 flags word.
const OFFSET_MASK_BE: u16 = 0x1fffu16.to_be();
/// Offset of the checksum in a UDP header, and bytes of a transport header that an error quotes at least (RFC 792).
const QUOTED: usize = 8;

/// The packet that an error quotes.
struct Quoted {
    /// Offset of its IP header.
    ip: usize,
    /// Offset of its transport header.
    l4: usize,
    /// Its IPv4 header checksum; 0 for IPv6.
    ip_sum: u16,
    /// Its UDP checksum; 0 where there is none.
    udp_sum: u16,
}

/// Translates an error and sends it on; passes one that is about nothing of ours.
#[inline(always)]
pub(super) fn translate<H: Hook>(hook: &mut H, packet: &Packet<H::Address>) -> Verdict {
    hook.pull(packet.l4 + ICMP_LEN + 60 + QUOTED);
    let Some(Workspace { flow, key, .. }) = workspace(hook) else {
        return Verdict::DROP;
    };
    let Some(quoted) = quoted(hook, packet.l4 + ICMP_LEN, key) else {
        return Verdict::PASS;
    };
    // Beyond the datagram's end lies the padding of the frame, which no checksum covers.
    if quoted.l4 + QUOTED > H::L3 + packet.total_len as usize {
        return Verdict::PASS;
    }
    if !may_be_ours(hook, key) {
        hook.step(Step::Filtered, 0, 0, 0);
        return Verdict::PASS;
    }
    let now = hook.now();
    if let Some(half) = hook.flow(key) {
        hook.read_into(half, flow);
    } else if !hook.find_record(hash::flow(key), key, now, flow) {
        return Verdict::PASS;
    }
    if !follow::belongs_here::<H>(flow) {
        return Verdict::PASS;
    }
    hook.step(Step::FlowHit, u32::from(flow.flags), flow.backend, flow.service);
    let local = flow.flags & FLOW_LOCAL != 0;
    let (mut ifindex, mut macs, mut flags) = (0, [0; 3], 0);
    if !local {
        if packet.ttl <= 1 {
            return drop(hook, DropReason::TtlExpired);
        }
        let route = way::look_up(hook, packet, flow.src_be, flow.dst_be);
        flags = way::hop_flags(hook, &route);
        if H::STAGE == Stage::Xdp && (!route.is_known() || flags & FLOW_VIA_STACK != 0) {
            hook.count(Stat::LeftToStack);
            hook.step(Step::LeftToStack, 0, 0, 0);
            return Verdict::PASS;
        }
        if !route.is_known() {
            return drop(hook, DropReason::NoRoute);
        }
        (ifindex, macs) = (route.ifindex, route.macs);
    }
    let written = if flow.flags & FLOW_ENCAPSULATED != 0 {
        tunnel::encapsulate(hook, packet, flow)
    } else {
        rewrite(hook, packet, &quoted, key, flow, !local).is_some()
    };
    if !written {
        return drop(hook, DropReason::Truncated);
    }
    hook.count(Stat::ErrorTranslated);
    if local {
        hook.step(Step::Pass, 0, 0, 0);
        return Verdict::PASS;
    }
    send::leave(hook, ifindex, &macs, flags)
}

/// Reads the quoted packet: its tuple must be there, so it is no later fragment and has no extension headers but that of
/// a first fragment: what a client cut to its own link may be too long for the next one. Writes into `key` what replies
/// to it carry, because the error travels the way that they do.
#[inline(always)]
fn quoted<H: Hook>(hook: &H, ip: usize, key: &mut FlowKey<H::Address>) -> Option<Quoted> {
    let (protocol, l4, ip_sum);
    if H::Address::IS_V6 {
        let header = hook.bytes(ip, IPV6_LEN)?;
        if header.u8(0) >> 4 != 6 {
            return None;
        }
        let words = |at| [header.u32(at), header.u32(at + 4), header.u32(at + 8), header.u32(at + 12)];
        key.dst_be = H::Address::from_address(Address::v6(words(8)));
        key.src_be = H::Address::from_address(Address::v6(words(24)));
        (protocol, l4, ip_sum) = match header.u8(6) {
            FRAGMENT => (behind_fragment_header(hook, ip + IPV6_LEN)?, ip + IPV6_LEN + FRAGMENT_LEN, 0),
            next => (next, ip + IPV6_LEN, 0),
        };
    } else {
        let header = hook.bytes(ip, IPV4_LEN)?;
        let version_ihl = header.u8(0);
        if version_ihl >> 4 != 4 || version_ihl & 0xf < 5 || header.u16(6) & OFFSET_MASK_BE != 0 {
            return None;
        }
        key.dst_be = H::Address::from_address(Address::v4(header.u32(12)));
        key.src_be = H::Address::from_address(Address::v4(header.u32(16)));
        (protocol, l4, ip_sum) = (header.u8(9), ip + usize::from(version_ihl & 0xf) * 4, header.u16(10));
    }
    if !matches!(protocol, TCP | UDP | SCTP) {
        return None;
    }
    let transport = hook.bytes(l4, QUOTED)?;
    key.dst_port_be = transport.u16(0);
    key.src_port_be = transport.u16(2);
    key.protocol = u32::from(protocol);
    let udp_sum = if protocol == UDP { transport.u16(6) } else { 0 };
    Some(Quoted { ip, l4, ip_sum, udp_sum })
}

/// Writes new addresses and ports into the quoted packet and new addresses into the error's own header.
#[inline(always)]
fn rewrite<H: Hook>(
    hook: &mut H,
    packet: &Packet<H::Address>,
    quoted: &Quoted,
    key: &FlowKey<H::Address>,
    flow: &Flow<H::Address>,
    hop: bool,
) -> Option<()> {
    // What the quoted packet was before its translation is what replies to it become, turned round; so the flow's deltas
    // are its deltas.
    let addresses = flow.l3_delta;
    let ports = checksum::combine(flow.l4_delta, !flow.l3_delta);
    let mut change = u64::from(addresses) + u64::from(ports);
    if !H::Address::IS_V6 {
        let sum = checksum::apply(quoted.ip_sum, u32::from(addresses));
        change += u64::from(checksum::delta16(quoted.ip_sum, sum));
        hook.store(quoted.ip + 10, &[sum]).then_some(())?;
    }
    if quoted.udp_sum != 0 {
        let sum = checksum::apply_udp(quoted.udp_sum, u32::from(addresses) + u32::from(ports));
        change += u64::from(checksum::delta16(quoted.udp_sum, sum));
        hook.store(quoted.l4 + 6, &[sum]).then_some(())?;
    }
    let at = if H::Address::IS_V6 { 8 } else { 12 };
    store_addresses(hook, quoted.ip + at, flow.dst_be, flow.src_be)?;
    hook.store(quoted.l4, &[flow.dst_port_be, flow.src_port_be]).then_some(())?;

    // A router on the way keeps its own address as source, unless the flow hides the client's side.
    let src_be = if flow.src_be.is(key.src_be) { packet.key.src_be } else { flow.src_be };
    let outer = checksum::combine(
        checksum::delta_address(packet.key.src_be, src_be),
        checksum::delta_address(packet.key.dst_be, flow.dst_be),
    );
    if H::Address::IS_V6 {
        change += u64::from(outer);
    } else {
        let ip = hook.bytes(H::L3, IPV4_LEN)?;
        let sum = checksum::apply(ip.u16(10), u32::from(outer));
        hook.store(H::L3 + 10, &[sum]).then_some(())?;
    }
    store_addresses(hook, H::L3 + at, src_be, flow.dst_be)?;
    let icmp = hook.bytes(packet.l4, 4)?;
    let (kind, code) = (icmp.u8(0), icmp.u8(1));
    let sum = checksum::apply(icmp.u16(2), u32::from(checksum::fold(change)));
    // From where it was read: the verifier knows a checked pointer only by the register that was compared.
    hook.store(packet.l4, &[u16::from_ne_bytes([kind, code]), sum]).then_some(())?;
    hook.step_between(Step::ErrorTranslated, [u32::from(kind), u32::from(code), 0], src_be, flow.dst_be);
    (!hop || tunnel::take_hop(hook, packet.ttl)).then_some(())
}

/// Stores two addresses, one behind the other.
#[inline(always)]
fn store_addresses<H: Hook>(hook: &mut H, at: usize, src: H::Address, dst: H::Address) -> Option<()> {
    let (src, dst) = (src.words(), dst.words());
    if !H::Address::IS_V6 {
        let (src, dst) = (halves(src[3]), halves(dst[3]));
        return hook.store(at, &[src[0], src[1], dst[0], dst[1]]).then_some(());
    }
    let mut words = [0; 16];
    let mut index = 0;
    while index < 4 {
        [words[index * 2], words[index * 2 + 1]] = halves(src[index]);
        [words[8 + index * 2], words[9 + index * 2]] = halves(dst[index]);
        index += 1;
    }
    hook.store(at, &words).then_some(())
}
