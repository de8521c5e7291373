//! The checksums of a frame, found and computed by nothing but the RFCs: the pipeline's own parser has no part in it.

use std::ops::Range;

const ETHERNET: usize = 14;
const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const VLAN: [u16; 2] = [0x8100, 0x88a8];
/// IP protocol numbers.
const ICMP: u8 = 1;
const IPIP: u8 = 4;
const TCP: u8 = 6;
const UDP: u8 = 17;
const IPV6_IN_IP: u8 = 41;
const ICMPV6: u8 = 58;
const SCTP: u8 = 132;
/// Reflected polynomial of CRC32c (RFC 9260 appendix A).
const CRC32C: u32 = 0x82f6_3b78;

/// What a checksum is about.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Sum {
    /// Where it stands.
    at: usize,
    covers: Range<usize>,
    /// Sum of the pseudo-header (RFC 9293 §3.1, RFC 8200 §8.1).
    pseudo: u32,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// RFC 1071.
    Internet,
    /// The same, where 0 says that there is none (RFC 768).
    Optional,
    Crc32c,
}

/// An IP packet in a frame: the innermost, where one is inside another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sums {
    sums: Vec<Sum>,
    /// Its TTL or hop limit.
    pub(super) ttl: u8,
    /// Its source address.
    pub(super) source: Vec<u8>,
}

/// Finds the checksums; none where the frame holds no IP packet that is as long as it says, or one in a tunnel that is
/// not, or more than one tunnel.
pub(super) fn find(frame: &[u8]) -> Option<Sums> {
    let mut ip = ETHERNET;
    while VLAN.contains(&word(frame, ip - 2)?) && ip < ETHERNET + 8 {
        ip += 4;
    }
    let mut found = Sums { sums: Vec::new(), ttl: 0, source: Vec::new() };
    found.add_packet(frame, word(frame, ip - 2)?, ip, 1)?;
    Some(found)
}

impl Sums {
    /// True where every checksum is what it should be.
    pub(super) fn are_right(&self, frame: &[u8]) -> bool {
        self.sums.iter().all(|sum| sum.is_right(frame))
    }

    /// Makes every checksum what it should be.
    pub(super) fn mend(&self, frame: &mut [u8]) {
        self.sums.iter().for_each(|sum| sum.mend(frame));
    }

    fn add_packet(&mut self, frame: &[u8], ethertype: u16, ip: usize, depth: u32) -> Option<()> {
        match (ethertype, *frame.get(ip)? >> 4) {
            (IPV4, 4) => self.add_ipv4(frame, ip, depth),
            (IPV6, 6) => self.add_ipv6(frame, ip, depth),
            _ => None,
        }
    }

    fn add_ipv4(&mut self, frame: &[u8], ip: usize, depth: u32) -> Option<()> {
        let header = usize::from(frame[ip] & 0xf) * 4;
        let end = ip + usize::from(word(frame, ip + 2)?);
        (header >= 20 && ip + header <= end && end <= frame.len()).then_some(())?;
        self.sums.push(Sum { at: ip + 10, covers: ip..ip + header, pseudo: 0, kind: Kind::Internet });
        (self.ttl, self.source) = (frame[ip + 8], frame[ip + 12..ip + 16].to_vec());
        let is_fragment = word(frame, ip + 6)? & 0x3fff != 0;
        if !is_fragment {
            self.add_payload(frame, frame[ip + 9], ip + 12..ip + 20, ip + header..end, depth)?;
        }
        Some(())
    }

    fn add_ipv6(&mut self, frame: &[u8], ip: usize, depth: u32) -> Option<()> {
        let (mut l4, end) = (ip + 40, ip + 40 + usize::from(word(frame, ip + 4)?));
        (end <= frame.len()).then_some(())?;
        (self.ttl, self.source) = (frame[ip + 7], frame[ip + 8..ip + 24].to_vec());
        let mut protocol = frame[ip + 6];
        // Hop-by-hop options, routing header, destination options (RFC 8200 §4).
        while matches!(protocol, 0 | 43 | 60) && l4 + 8 <= end {
            protocol = frame[l4];
            l4 += (usize::from(frame[l4 + 1]) + 1) * 8;
        }
        if l4 <= end {
            self.add_payload(frame, protocol, ip + 8..ip + 40, l4..end, depth)?;
        }
        Some(())
    }

    /// A payload that is too short for its protocol has no checksum.
    fn add_payload(
        &mut self,
        frame: &[u8],
        protocol: u8,
        addresses: Range<usize>,
        l4: Range<usize>,
        depth: u32,
    ) -> Option<()> {
        let v6 = addresses.len() == 32;
        let pseudo = sum(&frame[addresses]) + l4.len() as u32 + u32::from(protocol);
        let internet = |at, pseudo| (at, pseudo, Kind::Internet);
        let (at, pseudo, kind) = match protocol {
            TCP => internet(16, pseudo),
            // The length in the header is the one that counts.
            UDP if word(frame, l4.start + 4) != Some(l4.len() as u16) => return Some(()),
            UDP => (6, pseudo, if v6 { Kind::Internet } else { Kind::Optional }),
            SCTP => (8, 0, Kind::Crc32c),
            ICMP if !v6 => internet(2, 0),
            ICMPV6 if v6 => internet(2, pseudo),
            IPIP | IPV6_IN_IP if (protocol == IPV6_IN_IP) == v6 => {
                let depth = depth.checked_sub(1)?;
                return self.add_packet(&frame[..l4.end], if v6 { IPV6 } else { IPV4 }, l4.start, depth);
            }
            _ => return Some(()),
        };
        if at + 4 <= l4.len() {
            self.sums.push(Sum { at: l4.start + at, covers: l4, pseudo, kind });
        }
        Some(())
    }
}

impl Sum {
    fn is_right(&self, frame: &[u8]) -> bool {
        let covered = &frame[self.covers.clone()];
        match self.kind {
            Kind::Crc32c => crc32c(covered, self.at - self.covers.start) == frame[self.at..self.at + 4],
            Kind::Optional if word(frame, self.at) == Some(0) => true,
            Kind::Internet | Kind::Optional => fold(self.pseudo + sum(covered)) == 0xffff,
        }
    }

    fn mend(&self, frame: &mut [u8]) {
        if self.kind == Kind::Crc32c {
            let crc = crc32c(&frame[self.covers.clone()], self.at - self.covers.start);
            return frame[self.at..self.at + 4].copy_from_slice(&crc);
        }
        frame[self.at..self.at + 2].fill(0);
        let checksum = !fold(self.pseudo + sum(&frame[self.covers.clone()]));
        let checksum = if checksum == 0 && self.kind == Kind::Optional { 0xffff } else { checksum };
        frame[self.at..self.at + 2].copy_from_slice(&checksum.to_be_bytes());
    }
}

fn word(frame: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(frame.get(at..at + 2)?.try_into().ok()?))
}

/// Sum of 16-bit words; no frame is long enough for it to overflow.
fn sum(bytes: &[u8]) -> u32 {
    let word = |pair: &[u8]| u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |low| u32::from(*low));
    bytes.chunks(2).map(word).sum()
}

fn fold(mut sum: u32) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

/// CRC32c of a packet whose checksum field, at `field`, counts as zero, as it stands in the packet.
fn crc32c(packet: &[u8], field: usize) -> [u8; 4] {
    let mut crc = !0u32;
    for (at, byte) in packet.iter().enumerate() {
        crc ^= u32::from(if (field..field + 4).contains(&at) { 0 } else { *byte });
        for _ in 0..8 {
            crc = (crc >> 1) ^ if crc & 1 == 1 { CRC32C } else { 0 };
        }
    }
    (!crc).to_le_bytes()
}
