//! From bytes to the few facts that decide a packet's way.

use crate::{
    address::{IpAddress, V4},
    flow::FlowKey,
    pipeline::Hook,
    tcp::{TCP, UDP, flag},
};

/// Ethernet header length.
pub const ETHERNET_LEN: usize = 14;
/// IPv4 header length without options (RFC 791).
pub const IPV4_LEN: usize = 20;
/// TCP header length without options (RFC 9293).
pub const TCP_LEN: usize = 20;
/// UDP header length (RFC 768).
pub const UDP_LEN: usize = 8;

/// EtherType of IPv4.
const ETHERTYPE_IPV4_BE: u16 = 0x0800u16.to_be();
/// More-fragments bit and fragment offset of the flags word.
const FRAGMENT_MASK_BE: u16 = 0x3fffu16.to_be();

/// An IPv4 TCP or UDP packet with sound headers.
#[derive(Clone, Copy, Debug)]
pub struct Packet<A = V4> {
    /// The 5-tuple.
    pub key: FlowKey<A>,
    /// Offset of the TCP or UDP header.
    pub l4: usize,
    /// IPv4 total length, bytes.
    pub total_len: u16,
    /// Time to live.
    pub ttl: u8,
    /// TCP flags; 0 for UDP.
    pub tcp_flags: u8,
    /// IP protocol number.
    pub protocol: u8,
}

impl<A: IpAddress> Packet<A> {
    /// Reads a packet; None where it is anything but an unfragmented IPv4 TCP or UDP packet with sound headers.
    ///
    /// Lengths are checked against each other and against the frame, because what is not sound must reach the stack
    /// untouched. Checksums are not: an incremental update keeps a wrong checksum wrong.
    #[inline(always)]
    pub fn parse<H: Hook<Address = A>>(hook: &H) -> Option<Self> {
        if H::L3 == ETHERNET_LEN {
            let ethernet = hook.bytes(0, ETHERNET_LEN + IPV4_LEN)?;
            if ethernet.u16(12) != ETHERTYPE_IPV4_BE {
                return None;
            }
        }
        let ip = hook.bytes(H::L3, IPV4_LEN)?;
        let version_ihl = ip.u8(0);
        if version_ihl >> 4 != 4 || version_ihl & 0xf < 5 || ip.u16(6) & FRAGMENT_MASK_BE != 0 {
            return None;
        }
        let header_len = usize::from(version_ihl & 0xf) * 4;
        let l4 = H::L3 + header_len;
        let total_len = u16::from_be(ip.u16(2));
        let protocol = ip.u8(9);
        let (src_be, dst_be, ttl) = (ip.u32(12), ip.u32(16), ip.u8(8));
        let (src_be, dst_be) = (A::from_address(src_be.address()), A::from_address(dst_be.address()));
        let (l4_len, tcp_flags, ports) = match protocol {
            TCP => {
                let tcp = hook.bytes(l4, TCP_LEN)?;
                let data_offset = usize::from(tcp.u8(12) >> 4) * 4;
                if data_offset < TCP_LEN {
                    return None;
                }
                (data_offset, tcp.u8(13), (tcp.u16(0), tcp.u16(2)))
            }
            UDP => {
                let udp = hook.bytes(l4, UDP_LEN)?;
                (UDP_LEN, 0, (udp.u16(0), udp.u16(2)))
            }
            _ => return None,
        };
        let end = H::L3 + usize::from(total_len);
        if usize::from(total_len) < header_len + l4_len || (end > hook.linear_len() && end > hook.len()) {
            return None;
        }
        let key = FlowKey::new(src_be, dst_be, ports.0, ports.1, protocol);
        Some(Self { key, l4, total_len, ttl, tcp_flags, protocol })
    }

    /// True for the first packet of a TCP connection.
    #[inline(always)]
    pub const fn opens(&self) -> bool {
        self.tcp_flags & (flag::SYN | flag::ACK) == flag::SYN
    }

    /// True where the sender's address cannot be answered: unspecified, loopback, multicast, reserved or broadcast
    /// (RFC 1122 §3.2.1.3), or equal to the destination.
    #[inline(always)]
    pub fn is_martian(&self) -> bool {
        let first = self.key.src_be.words()[3].to_ne_bytes()[0];
        first == 0 || first == 127 || first >= 224 || self.key.src_be.is(self.key.dst_be)
    }
}
