//! The packet that a trace is about, as bytes.

use std::net::{IpAddr, SocketAddr};

use lb_common::{interface::VlanTag, packet::IPV4_LEN, tcp};

use super::{
    args::{Fragment, Transport},
    segment,
};

/// TTL or hop limit that most systems send with, so that a hop more or less does not matter.
const TTL: u8 = 64;
/// Identification of a fragment's datagram: any but 0.
const FRAGMENT_ID: u32 = 0x51_0ce;
/// Where a later fragment begins, in units of eight bytes: right behind a first one that fills a usual MTU.
const LATER_OFFSET: u16 = 1480 / 8;
/// Next-header value of a fragment header (RFC 8200 §4.5).
const IPV6_FRAGMENT: u8 = 44;

/// A packet without payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Packet {
    /// Transport protocol.
    pub(crate) transport: Transport,
    /// Sender; port 0 where the packet has none.
    pub(crate) source: SocketAddr,
    /// Receiver, of the same family.
    pub(crate) destination: SocketAddr,
    /// TCP flags; 0 for others.
    pub(crate) tcp_flags: u8,
    /// Which fragment of its datagram it is, if it is one.
    pub(crate) fragment: Option<Fragment>,
}

impl Packet {
    /// IP protocol number.
    pub(crate) fn protocol(&self) -> u8 {
        match (self.transport, self.source.is_ipv4()) {
            (Transport::Tcp, _) => tcp::TCP,
            (Transport::Udp, _) => tcp::UDP,
            (Transport::Sctp, _) => segment::SCTP,
            (Transport::Icmp, true) => segment::ICMP,
            (Transport::Icmp, false) => segment::ICMPV6,
        }
    }

    /// The protocol as people write it.
    pub(crate) fn protocol_name(&self) -> &'static str {
        match (self.transport, self.source.is_ipv4()) {
            (Transport::Tcp, _) => "TCP",
            (Transport::Udp, _) => "UDP",
            (Transport::Sctp, _) => "SCTP",
            (Transport::Icmp, true) => "ICMP",
            (Transport::Icmp, false) => "ICMPv6",
        }
    }

    /// One end as people write it: without a port where the packet has none.
    pub(crate) fn end(&self, end: SocketAddr) -> String {
        if end.port() == 0 { end.ip().to_string() } else { end.to_string() }
    }

    /// The packet as an Ethernet frame to `mac` with these VLAN tags, the outer first; checksums right.
    pub(crate) fn frame(&self, mac: [u8; 6], tags: &[VlanTag]) -> Vec<u8> {
        /// A locally administered address (IEEE 802, bit 1 of the first byte): nobody's.
        const SENDER: [u8; 6] = [2, 0, 0, 0, 0, 1];
        let mut frame = [mac, SENDER].concat();
        for tag in tags {
            frame.extend(tag.protocol_be.to_ne_bytes());
            frame.extend(tag.id_be.to_ne_bytes());
        }
        let mut payload = segment::of(self);
        match self.fragment {
            // All but the last fragment are a multiple of eight bytes long (RFC 791 §3.2).
            Some(Fragment::First) => payload.resize(payload.len().next_multiple_of(8), 0),
            Some(Fragment::Later) => payload.fill(0),
            None => {}
        }
        match (self.source.ip(), self.destination.ip()) {
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                frame.extend([0x86, 0xdd]);
                frame.extend(self.ipv6(&source.octets(), &destination.octets(), payload.len()));
            }
            (source, destination) => {
                frame.extend([0x08, 0x00]);
                frame.extend(self.ipv4(source, destination, payload.len()));
            }
        }
        frame.extend(payload);
        frame
    }

    fn ipv4(&self, source: IpAddr, destination: IpAddr, payload: usize) -> Vec<u8> {
        const DONT_FRAGMENT: u16 = 0x4000;
        const MORE: u16 = 0x2000;
        let (id, flags) = match self.fragment {
            None => (0, DONT_FRAGMENT),
            Some(Fragment::First) => (FRAGMENT_ID as u16, MORE),
            Some(Fragment::Later) => (FRAGMENT_ID as u16, LATER_OFFSET),
        };
        let mut ip = vec![0x45, 0];
        ip.extend(((IPV4_LEN + payload) as u16).to_be_bytes());
        ip.extend(id.to_be_bytes());
        ip.extend(flags.to_be_bytes());
        ip.extend([TTL, self.protocol(), 0, 0]);
        ip.extend(segment::octets(source));
        ip.extend(segment::octets(destination));
        let sum = (!segment::sum(&ip)).to_be_bytes();
        ip[10..12].copy_from_slice(&sum);
        ip
    }

    fn ipv6(&self, source: &[u8; 16], destination: &[u8; 16], payload: usize) -> Vec<u8> {
        const MORE: u16 = 1;
        let header = |word: u16| {
            let [high, low] = word.to_be_bytes();
            [&[self.protocol(), 0, high, low], FRAGMENT_ID.to_be_bytes().as_slice()].concat()
        };
        let fragment = match self.fragment {
            None => Vec::new(),
            Some(Fragment::First) => header(MORE),
            Some(Fragment::Later) => header(LATER_OFFSET << 3),
        };
        let next = if fragment.is_empty() { self.protocol() } else { IPV6_FRAGMENT };
        let mut ip = vec![0x60, 0, 0, 0];
        ip.extend(((fragment.len() + payload) as u16).to_be_bytes());
        ip.extend([next, TTL]);
        ip.extend(source);
        ip.extend(destination);
        ip.extend(fragment);
        ip
    }
}

#[cfg(test)]
mod tests {
    use lb_common::{checksum, tcp::flag};

    use super::*;

    const MAC: [u8; 6] = [0x52, 0, 0, 0, 0, 9];
    const V4: [&str; 2] = ["198.51.100.7:40000", "203.0.113.10:80"];
    const V6: [&str; 2] = ["[2001:db8::7]:40000", "[2001:db8:f::10]:80"];

    fn packet(transport: Transport, [source, destination]: [&str; 2]) -> Packet {
        Packet {
            transport,
            source: source.parse().unwrap(),
            destination: destination.parse().unwrap(),
            tcp_flags: if transport == Transport::Tcp { flag::SYN } else { 0 },
            fragment: None,
        }
    }

    /// Sums to all ones over pseudo-header, segment and its checksum where that is right (RFC 1071 §1 step 3).
    fn verify(addresses: &[u8], protocol: u8, segment: &[u8]) -> u16 {
        let pseudo = [addresses, &[0, protocol, 0, segment.len() as u8]].concat();
        checksum::combine(segment::sum(&pseudo), segment::sum(segment))
    }

    #[test]
    fn frames_carry_right_lengths_and_checksums() {
        for (transport, length) in
            [(Transport::Tcp, 20), (Transport::Udp, 8), (Transport::Sctp, 32), (Transport::Icmp, 8)]
        {
            let frame = packet(transport, V4).frame(MAC, &[]);
            let (ip, segment) = frame[14..].split_at(20);
            assert_eq!(
                (segment.len(), usize::from(u16::from_be_bytes([ip[2], ip[3]]))),
                (length, 20 + length)
            );
            assert_eq!(segment::sum(ip), 0xffff);
            match transport {
                Transport::Tcp | Transport::Udp => {
                    assert_eq!(verify(&ip[12..20], ip[9], segment), 0xffff, "{transport:?}");
                }
                Transport::Icmp => assert_eq!(segment::sum(segment), 0xffff),
                Transport::Sctp => {}
            }
            let frame = packet(transport, V6).frame(MAC, &[]);
            let (ip, segment) = frame[14..].split_at(40);
            assert_eq!((segment.len(), usize::from(u16::from_be_bytes([ip[4], ip[5]]))), (length, length));
            if transport != Transport::Sctp {
                assert_eq!(verify(&ip[8..40], ip[6], segment), 0xffff, "{transport:?}");
            }
        }
    }

    #[test]
    fn fragments_of_both_families_say_where_they_belong() {
        for (fragment, v4, v6) in
            [(Fragment::First, [0x20, 0x00], [0, 1]), (Fragment::Later, [0, 185], [0x05, 0xc8])]
        {
            let fragmented =
                |ends| Packet { fragment: Some(fragment), ..packet(Transport::Tcp, ends) }.frame(MAC, &[]);
            let frame = fragmented(V4);
            assert_eq!(frame[20..22], v4, "{fragment}");
            assert_eq!((frame.len() - 34) % 8, if fragment == Fragment::First { 0 } else { 4 });
            let frame = fragmented(V6);
            assert_eq!((frame[20], &frame[54..58]), (44, [6, 0, v6[0], v6[1]].as_slice()), "{fragment}");
            let ports = &frame[62..66];
            assert_eq!(ports == [0; 4], fragment == Fragment::Later, "only the first has ports");
        }
    }

    #[test]
    fn tags_stand_before_the_ethertype_the_outer_first() {
        let tag = |protocol: u16, id: u16| VlanTag { protocol_be: protocol.to_be(), id_be: id.to_be() };
        let frame = packet(Transport::Udp, V4).frame(MAC, &[tag(0x88a8, 100), tag(0x8100, 200)]);
        assert_eq!(frame[12..22], [0x88, 0xa8, 0, 100, 0x81, 0x00, 0, 200, 0x08, 0x00]);
    }
}
