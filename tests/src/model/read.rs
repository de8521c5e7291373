//! Frames read back: what a receiver with all checks would see.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use lb_common::tcp::{SCTP, TCP, UDP};

use super::frame::{ICMP, ICMPV6, checksum, crc32c, octets};

/// A frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    /// Destination MAC.
    pub to: [u8; 6],
    /// EtherType and number of each VLAN tag, outer first.
    pub tags: Vec<(u16, u16)>,
    /// Source address.
    pub src: IpAddr,
    /// Destination address.
    pub dst: IpAddr,
    /// TTL, hop limit.
    pub ttl: u8,
    /// Protocol.
    pub protocol: u8,
    /// What follows the IP headers.
    pub body: Vec<u8>,
}

impl Read {
    /// Source and destination port.
    pub fn ports(&self) -> (u16, u16) {
        (word(&self.body, 0), word(&self.body, 2))
    }

    /// The packet that an ICMP error quotes; its checksums and lengths are not looked at.
    ///
    /// # Panics
    /// Where it is not a packet.
    pub fn quoted(&self) -> Self {
        packet(&self.body[8..], false)
    }

    /// Source and destination, each with its port.
    pub fn ends(&self) -> ((IpAddr, u16), (IpAddr, u16)) {
        ((self.src, self.ports().0), (self.dst, self.ports().1))
    }
}

/// Reads a frame.
///
/// # Panics
/// Where a length or checksum is wrong.
pub fn read(frame: &[u8]) -> Read {
    let (mut at, mut tags) = (12, Vec::new());
    while matches!(word(frame, at), 0x8100 | 0x88a8) {
        tags.push((word(frame, at), word(frame, at + 2)));
        at += 4;
    }
    let mut to = [0; 6];
    to.copy_from_slice(&frame[..6]);
    let read = packet(&frame[at + 2..], true);
    assert_eq!(word(frame, at), if read.src.is_ipv4() { 0x0800 } else { 0x86dd }, "EtherType");
    Read { to, tags, ..read }
}

fn packet(bytes: &[u8], checked: bool) -> Read {
    let v6 = bytes[0] >> 4 == 6;
    let (header, len, ttl, protocol) = if v6 {
        (40, 40 + usize::from(word(bytes, 4)), bytes[7], bytes[6])
    } else {
        (usize::from(bytes[0] & 0xf) * 4, usize::from(word(bytes, 2)), bytes[8], bytes[9])
    };
    let v4_at =
        |at: usize| IpAddr::from(Ipv4Addr::new(bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]));
    let v6_at =
        |at: usize| IpAddr::from(Ipv6Addr::from(std::array::from_fn::<u8, 16, _>(|index| bytes[at + index])));
    let (src, dst) = if v6 { (v6_at(8), v6_at(24)) } else { (v4_at(12), v4_at(16)) };
    let (protocol, header, fragmented) = match protocol {
        44 if v6 => (bytes[40], header + 8, word(bytes, 42) & 0xfff9 != 0),
        _ => (protocol, header, !v6 && word(bytes, 6) & 0x3fff != 0),
    };
    let read = Read { to: [0; 6], tags: Vec::new(), src, dst, ttl, protocol, body: bytes[header..].to_vec() };
    if checked {
        assert_eq!(bytes.len(), len, "IP length");
        assert!(v6 || checksum(&[&bytes[..header]]) == 0, "IPv4 header checksum");
        assert!(fragmented || is_sound(&read), "checksum of protocol {protocol}");
    }
    read
}

/// True where the upper layer's checksum holds.
fn is_sound(read: &Read) -> bool {
    let body = &read.body;
    let (src, dst) = (octets(read.src), octets(read.dst));
    let length = (body.len() as u32).to_be_bytes();
    let with_pseudo = || checksum(&[&src, &dst, &length, &[0, read.protocol], body]) == 0;
    match read.protocol {
        TCP | ICMPV6 => with_pseudo(),
        UDP => word(body, 6) == 0 || with_pseudo(),
        ICMP => checksum(&[body]) == 0,
        SCTP => {
            let without = [&body[..8], &[0; 4], &body[12..]].concat();
            crc32c(&without).to_le_bytes() == body[8..12]
        }
        _ => true,
    }
}

fn word(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}
