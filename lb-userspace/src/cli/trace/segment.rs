//! Transport headers of made packets.

use std::net::IpAddr;

use lb_common::{
    checksum,
    packet::{TCP_LEN, UDP_LEN},
};

use super::{args::Transport, packet::Packet};

/// IP protocol number of ICMP.
pub(super) const ICMP: u8 = 1;
/// IP protocol number of ICMPv6.
pub(super) const ICMPV6: u8 = 58;
/// IP protocol number of SCTP.
pub(super) const SCTP: u8 = 132;

/// Any window but zero, which would be a signal of its own.
const WINDOW: u16 = 64_240;

/// The packet's transport header, checksum right.
pub(super) fn of(packet: &Packet) -> Vec<u8> {
    match packet.transport {
        Transport::Tcp => tcp(packet),
        Transport::Udp => {
            let mut udp = ports(packet);
            udp.extend((UDP_LEN as u16).to_be_bytes());
            udp.extend([0; 2]);
            summed(packet, udp, 6)
        }
        Transport::Sctp => sctp(packet),
        Transport::Icmp => echo(packet),
    }
}

fn ports(packet: &Packet) -> Vec<u8> {
    [packet.source.port().to_be_bytes(), packet.destination.port().to_be_bytes()].concat()
}

fn tcp(packet: &Packet) -> Vec<u8> {
    let mut tcp = ports(packet);
    tcp.extend([0, 0, 0, 1, 0, 0, 0, 0, (TCP_LEN as u8 / 4) << 4, packet.tcp_flags]);
    tcp.extend(WINDOW.to_be_bytes());
    tcp.extend([0; 4]);
    summed(packet, tcp, 16)
}

/// An INIT chunk, which opens an association (RFC 9260 §3.3.2).
fn sctp(packet: &Packet) -> Vec<u8> {
    const INIT: u8 = 1;
    const CHUNK_LEN: u8 = 20;
    let mut sctp = ports(packet);
    // Verification tag 0 (RFC 9260 §8.5.1), then the checksum.
    sctp.extend([0; 8]);
    sctp.extend([INIT, 0, 0, CHUNK_LEN]);
    // Initiate tag, receiver window, one stream each way, first TSN.
    sctp.extend([0, 0, 0, 1, 0, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 1]);
    let checksum = crc32c(&sctp).to_le_bytes();
    sctp[8..12].copy_from_slice(&checksum);
    sctp
}

/// An echo request (RFC 792, RFC 4443 §4.1), identifier and sequence number 1.
fn echo(packet: &Packet) -> Vec<u8> {
    const ECHO: u8 = 8;
    const ECHO_V6: u8 = 128;
    if packet.source.is_ipv6() {
        return summed(packet, vec![ECHO_V6, 0, 0, 0, 0, 1, 0, 1], 2);
    }
    let mut echo = vec![ECHO, 0, 0, 0, 0, 1, 0, 1];
    let sum = (!sum(&echo)).to_be_bytes();
    echo[2..4].copy_from_slice(&sum);
    echo
}

/// Fills in the checksum at `at`, which covers the pseudo-header.
fn summed(packet: &Packet, mut segment: Vec<u8>, at: usize) -> Vec<u8> {
    let pseudo = [
        octets(packet.source.ip()).as_slice(),
        &octets(packet.destination.ip()),
        &[0, packet.protocol(), 0, segment.len() as u8],
    ]
    .concat();
    let sum = !checksum::combine(sum(&pseudo), sum(&segment));
    // A computed 0 is sent as all ones over UDP (RFC 768) and means the same elsewhere.
    let sum = if sum == 0 { u16::MAX } else { sum };
    segment[at..at + 2].copy_from_slice(&sum.to_be_bytes());
    segment
}

/// An address as it stands in a header.
pub(super) fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// One's complement sum of an even number of bytes (RFC 1071).
pub(super) fn sum(bytes: &[u8]) -> u16 {
    checksum::fold(bytes.chunks_exact(2).map(|pair| u64::from(u16::from_be_bytes([pair[0], pair[1]]))).sum())
}

/// The checksum of SCTP, bit by bit (RFC 9260 appendix A).
fn crc32c(bytes: &[u8]) -> u32 {
    /// The polynomial, bits reflected.
    const POLYNOMIAL: u32 = 0x82f6_3b78;
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ if crc & 1 == 1 { POLYNOMIAL } else { 0 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crc32c_has_the_check_value_of_the_catalogue() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }
}
