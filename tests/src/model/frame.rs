//! Frames of any kind, sound or not. Written apart from the code under test, byte by byte.

use std::net::IpAddr;

use lb_common::tcp::{SCTP, TCP, UDP};

/// Protocol numbers besides those of the pipeline.
pub const ICMP: u8 = 1;
/// IPv4 in IP.
pub const IPIP: u8 = 4;
/// IPv6 in IP.
pub const IPV6_IN_IP: u8 = 41;
/// ICMPv6.
pub const ICMPV6: u8 = 58;

/// An IP header and what goes with it.
#[derive(Clone, Debug)]
pub struct Ip {
    /// Source.
    pub src: IpAddr,
    /// Destination, of the same family.
    pub dst: IpAddr,
    /// TTL, hop limit.
    pub ttl: u8,
    /// Words of IPv4 options.
    pub options: usize,
    /// IPv6 extension headers before the upper layer: next-header value and units of eight bytes behind the first.
    pub extensions: Vec<(u8, u8)>,
    /// Offset in units of eight bytes, more to come, identification.
    pub fragment: Option<(u16, bool, u32)>,
}

impl Ip {
    /// A plain header.
    pub const fn new(src: IpAddr, dst: IpAddr) -> Self {
        Self { src, dst, ttl: 64, options: 0, extensions: Vec::new(), fragment: None }
    }

    /// The packet with a payload of `protocol`.
    pub fn packet(&self, protocol: u8, payload: &[u8]) -> Vec<u8> {
        match (self.src, self.dst) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => {
                let len = 20 + self.options * 4;
                let (offset, more, id) = self.fragment.unwrap_or_default();
                let flags = offset | if more { 0x2000 } else { 0 };
                let mut header = vec![0x40 | (len / 4) as u8, 0];
                header.extend(((len + payload.len()) as u16).to_be_bytes());
                header.extend((id as u16).to_be_bytes());
                header.extend(flags.to_be_bytes());
                header.extend([self.ttl, protocol, 0, 0]);
                header.extend(src.octets());
                header.extend(dst.octets());
                header.resize(len, 1);
                let sum = checksum(&[&header]);
                header[10..12].copy_from_slice(&sum.to_be_bytes());
                header.extend(payload);
                header
            }
            _ => self.packet_v6(protocol, payload),
        }
    }

    fn packet_v6(&self, protocol: u8, payload: &[u8]) -> Vec<u8> {
        let mut chain: Vec<(u8, Vec<u8>)> = self
            .extensions
            .iter()
            .map(|(kind, units)| (*kind, vec![0; 8 + usize::from(*units) * 8]))
            .collect();
        for (extension, (_, units)) in chain.iter_mut().zip(&self.extensions) {
            extension.1[1] = *units;
        }
        if let Some((offset, more, id)) = self.fragment {
            let mut header = vec![0, 0];
            header.extend((offset << 3 | u16::from(more)).to_be_bytes());
            header.extend(id.to_be_bytes());
            chain.push((44, header));
        }
        let kinds: Vec<u8> = chain.iter().map(|(kind, _)| *kind).chain([protocol]).collect();
        let mut rest = Vec::new();
        for ((_, mut header), next) in chain.into_iter().zip(&kinds[1..]) {
            header[0] = *next;
            rest.extend(header);
        }
        rest.extend(payload);
        let mut packet = vec![0x60, 0, 0, 0];
        packet.extend((rest.len() as u16).to_be_bytes());
        packet.extend([kinds[0], self.ttl]);
        packet.extend(octets(self.src));
        packet.extend(octets(self.dst));
        packet.extend(rest);
        packet
    }

    /// The packet of a fragment: `payload` is cut into pieces of `unit` times eight bytes, and `index` says which.
    pub fn fragment_of(&self, protocol: u8, payload: &[u8], unit: u16, index: u16, id: u32) -> Vec<u8> {
        let size = usize::from(unit) * 8;
        let pieces: Vec<&[u8]> = payload.chunks(size.max(8)).collect();
        let index = usize::from(index).min(pieces.len().saturating_sub(1));
        let fragment = Some((index as u16 * unit, index + 1 < pieces.len(), id));
        let piece = pieces.get(index).copied().unwrap_or_default();
        Self { fragment, ..self.clone() }.packet(protocol, piece)
    }
}

/// A TCP segment.
pub fn tcp(ip: &Ip, ports: (u16, u16), flags: u8, sequence: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = ports_of(ports);
    bytes.extend(sequence.to_be_bytes());
    bytes.extend(sequence.wrapping_mul(7).to_be_bytes());
    bytes.extend([0x50, flags, 0x20, 0, 0, 0, 0, 0]);
    bytes.extend(payload);
    with_checksum(ip, TCP, bytes, 16)
}

/// A UDP datagram.
pub fn udp(ip: &Ip, ports: (u16, u16), with_sum: bool, payload: &[u8]) -> Vec<u8> {
    let mut bytes = ports_of(ports);
    bytes.extend((8 + payload.len() as u16).to_be_bytes());
    bytes.extend([0, 0]);
    bytes.extend(payload);
    if with_sum { with_checksum(ip, UDP, bytes, 6) } else { bytes }
}

/// An SCTP packet with one chunk.
pub fn sctp(ports: (u16, u16), chunk: u8, tag: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = ports_of(ports);
    bytes.extend(tag.to_be_bytes());
    bytes.extend([0; 4]);
    bytes.extend([chunk, 0]);
    bytes.extend((4 + payload.len() as u16).to_be_bytes());
    bytes.extend(payload);
    let sum = crc32c(&bytes);
    bytes[8..12].copy_from_slice(&sum.to_le_bytes());
    bytes
}

/// An ICMP or ICMPv6 message, as the addresses' family has it.
pub fn icmp(ip: &Ip, kind: u8, code: u8, rest: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind, code, 0, 0];
    bytes.extend(rest.to_be_bytes());
    bytes.extend(payload);
    if ip.src.is_ipv6() {
        return with_checksum(ip, ICMPV6, bytes, 2);
    }
    let sum = checksum(&[&bytes]);
    bytes[2..4].copy_from_slice(&sum.to_be_bytes());
    bytes
}

/// An Ethernet frame; tags are EtherType and tag control information, the outer first.
pub fn ethernet(to: [u8; 6], tags: &[(u16, u16)], packet: &[u8]) -> Vec<u8> {
    let mut frame = to.to_vec();
    frame.extend([2, 0, 0, 0, 0, 1]);
    for (protocol, id) in tags {
        frame.extend(protocol.to_be_bytes());
        frame.extend(id.to_be_bytes());
    }
    let ethertype: u16 = if packet.first().is_some_and(|byte| byte >> 4 == 6) { 0x86dd } else { 0x0800 };
    frame.extend(ethertype.to_be_bytes());
    frame.extend(packet);
    frame
}

fn ports_of((src, dst): (u16, u16)) -> Vec<u8> {
    [src.to_be_bytes(), dst.to_be_bytes()].concat()
}

pub(super) fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// Fills in a checksum that covers a pseudo-header too.
fn with_checksum(ip: &Ip, protocol: u8, mut bytes: Vec<u8>, at: usize) -> Vec<u8> {
    let (src, dst) = (octets(ip.src), octets(ip.dst));
    let len = (bytes.len() as u32).to_be_bytes();
    let sum = checksum(&[&src, &dst, &len, &[0, protocol], &bytes]);
    bytes[at..at + 2].copy_from_slice(&if sum == 0 && protocol == UDP { 0xffff } else { sum }.to_be_bytes());
    bytes
}

/// The Internet checksum over parts of even length, but for the last.
pub(super) fn checksum(parts: &[&[u8]]) -> u16 {
    let words = parts.iter().flat_map(|part| part.chunks(2));
    let mut sum: u64 =
        words.map(|word| u64::from(word[0]) << 8 | word.get(1).map_or(0, |low| u64::from(*low))).sum();
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    !(sum as u16)
}

/// CRC32c (RFC 9260 appendix A).
pub fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ if crc & 1 == 1 { 0x82f6_3b78 } else { 0 })
    })
}

/// True for protocols with ports.
pub const fn has_ports(protocol: u8) -> bool {
    matches!(protocol, TCP | UDP | SCTP)
}
