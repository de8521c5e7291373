//! From bytes to the few facts that decide a packet's way.

mod ipv4;
mod ipv6;
mod transport;

pub(crate) use ipv4::icmp as icmp4;
pub(crate) use ipv6::{FRAGMENT, FRAGMENT_LEN, behind_fragment_header, icmp as icmp6};

use crate::{
    address::{IpAddress, V4},
    flow::FlowKey,
    pipeline::Hook,
    tcp::flag,
};

/// Ethernet header length.
pub const ETHERNET_LEN: usize = 14;
/// Length of a VLAN tag (IEEE 802.1Q).
pub const VLAN_TAG_LEN: usize = 4;
/// IPv4 header length without options (RFC 791).
pub const IPV4_LEN: usize = 20;
/// IPv6 header length without extension headers (RFC 8200).
pub const IPV6_LEN: usize = 40;
/// TCP header length without options (RFC 9293).
pub const TCP_LEN: usize = 20;
/// UDP header length (RFC 768).
pub const UDP_LEN: usize = 8;
/// SCTP common header length (RFC 9260 §3.1).
pub const SCTP_LEN: usize = 12;
/// Length of an ICMP or ICMPv6 header (RFC 792, RFC 4443 §2.1).
pub const ICMP_LEN: usize = 8;

/// EtherType of IPv4, network byte order.
pub const ETHERTYPE_IPV4_BE: u16 = 0x0800u16.to_be();
/// EtherType of IPv6, network byte order.
pub const ETHERTYPE_IPV6_BE: u16 = 0x86ddu16.to_be();
/// EtherType of a VLAN tag (IEEE 802.1Q), network byte order.
pub const ETHERTYPE_VLAN_BE: u16 = 0x8100u16.to_be();
/// EtherType of an outer VLAN tag (IEEE 802.1ad), network byte order.
pub const ETHERTYPE_QINQ_BE: u16 = 0x88a8u16.to_be();

/// IP protocol number of ICMP.
pub const ICMP: u8 = 1;
/// IP protocol number of IPv4 in IP (RFC 2003).
pub const IPIP: u8 = 4;
/// IP protocol number of IPv6 in IP (RFC 2473).
pub const IPV6_IN_IP: u8 = 41;
/// IP protocol number of ICMPv6.
pub const ICMPV6: u8 = 58;

/// What kind of packet it is. Not an enum: the verifier's idea of it is blurred, see [`Packet::blur`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form(u8);

impl Form {
    /// TCP, UDP or SCTP, whole.
    pub const TRANSPORT: Self = Self(0);
    /// The first fragment of several of TCP or UDP.
    pub const FIRST_FRAGMENT: Self = Self(1);
    /// A fragment without ports.
    pub const LATER_FRAGMENT: Self = Self(2);
    /// An ICMP echo request.
    pub const ECHO: Self = Self(3);
    /// An ICMP error; its header is there.
    pub const ICMP_ERROR: Self = Self(4);
    /// An IP packet inside another of the same family.
    pub const TUNNEL: Self = Self(5);
    /// Anything else with a sound IP header.
    pub const OTHER: Self = Self(6);
}

/// An IP packet with sound headers.
#[derive(Clone, Copy, Debug)]
pub struct Packet<A = V4> {
    /// The 5-tuple; ports are 0 where the form has none.
    pub key: FlowKey<A>,
    /// Offset of what follows the IP headers.
    pub l4: usize,
    /// IP length, header included, bytes.
    pub total_len: u32,
    /// Identification of a fragment as it stands in the packet; 0 for whole packets.
    pub fragment_id_be: u32,
    /// Time to live, hop limit.
    pub ttl: u8,
    /// TCP flags, or those that an SCTP chunk amounts to; 0 for others.
    pub tcp_flags: u8,
    /// IP protocol number.
    pub protocol: u8,
    /// Kind.
    pub form: Form,
    /// 1 where another node had put it into an outer header, which was taken off.
    pub tunnelled: u8,
    /// The zero of [`blur`](Self::blur).
    pub zero: u32,
}

impl<A: IpAddress> Packet<A> {
    /// Reads a packet; None where it is not of this family or its headers are not sound.
    ///
    /// Lengths are checked against each other and against the frame, because what is not sound must reach the stack
    /// untouched. Checksums are not: an incremental update keeps a wrong checksum wrong.
    #[inline(always)]
    pub fn parse<H: Hook<Address = A>>(hook: &H) -> Option<Self> {
        if A::IS_V6 { ipv6::parse(hook) } else { ipv4::parse(hook) }
    }

    /// True for the first packet of a TCP connection or an SCTP association.
    #[inline(always)]
    pub const fn opens(&self) -> bool {
        self.tcp_flags & (flag::SYN | flag::ACK) == flag::SYN
    }

    /// True where the form carries ports.
    #[inline(always)]
    pub const fn has_ports(&self) -> bool {
        self.form.0 <= Form::FIRST_FRAGMENT.0
    }

    /// Mixes a zero, which the verifier takes for anything, into what the parser decided by branches. Without it the
    /// verifier walks all that follows once for each way through the parser: a million instructions in place of a
    /// hundred thousand.
    #[inline(always)]
    pub fn blur(&mut self, zero: u32) {
        let byte = zero as u8;
        self.form.0 ^= byte;
        self.protocol ^= byte;
        self.tcp_flags ^= byte;
        self.tunnelled ^= byte;
        self.key.protocol ^= zero;
        self.zero = zero;
        if A::IS_V6 {
            // One range for every number of extension headers; the longest chain ends well before.
            self.l4 = (self.l4 ^ zero as usize) & 0x3fff;
        }
    }

    /// Length of the IP headers, bytes.
    #[inline(always)]
    pub const fn headers_len<H: Hook>(&self) -> usize {
        self.l4 - H::L3
    }

    /// True where the sender cannot be answered: unspecified, loopback, multicast, reserved or broadcast (RFC 1122
    /// §3.2.1.3; RFC 4291 §2.5.2, §2.5.3, §2.7), link-local for IPv6 (which no router may forward, §2.5.6), or equal to
    /// the destination.
    #[inline(always)]
    pub fn is_martian(&self) -> bool {
        let [a, b, c, d] = self.key.src_be.words();
        let unusable = if A::IS_V6 {
            let first = u32::from_be(a);
            first >> 24 == 0xff || first >> 22 == 0xfe80 >> 6 || (a | b | c == 0 && u32::from_be(d) <= 1)
        } else {
            let first = d.to_ne_bytes()[0];
            first == 0 || first == 127 || first >= 224
        };
        unusable || self.key.src_be.is(self.key.dst_be)
    }
}
