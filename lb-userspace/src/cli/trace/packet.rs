//! The packet that a trace is about, as bytes.

use std::net::SocketAddrV4;

use lb_common::{
    checksum,
    flow::FlowKey,
    packet::{IPV4_LEN, TCP_LEN, UDP_LEN},
    tcp::TCP,
};
use lb_model::object::Protocol;

/// TTL that most systems send with, so that a hop more or less does not matter.
const TTL: u8 = 64;
/// Any window but zero, which would be a signal of its own.
const WINDOW: u16 = 64_240;

/// A TCP or UDP packet without payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Packet {
    /// Transport protocol.
    pub(crate) protocol: Protocol,
    /// Sender.
    pub(crate) source: SocketAddrV4,
    /// Receiver.
    pub(crate) destination: SocketAddrV4,
    /// TCP flags; 0 for UDP.
    pub(crate) tcp_flags: u8,
}

impl Packet {
    /// The tuple, as flows are kept by.
    pub(crate) fn key(&self) -> FlowKey {
        FlowKey::new(
            u32::from_ne_bytes(self.source.ip().octets()),
            u32::from_ne_bytes(self.destination.ip().octets()),
            self.source.port().to_be(),
            self.destination.port().to_be(),
            self.protocol.number(),
        )
    }

    /// The packet as an Ethernet frame to `mac`, checksums right.
    pub(crate) fn frame(&self, mac: [u8; 6]) -> Vec<u8> {
        /// A locally administered address (IEEE 802, bit 1 of the first byte): nobody's.
        const SENDER: [u8; 6] = [2, 0, 0, 0, 0, 1];
        let segment = self.segment();
        let mut frame = [mac.as_slice(), &SENDER, &[0x08, 0x00]].concat();
        let mut ip = vec![0x45, 0];
        ip.extend(((IPV4_LEN + segment.len()) as u16).to_be_bytes());
        // Identification 0, don't fragment.
        ip.extend([0, 0, 0x40, 0, TTL, self.protocol.number(), 0, 0]);
        ip.extend(self.source.ip().octets());
        ip.extend(self.destination.ip().octets());
        let sum = (!sum(&ip)).to_be_bytes();
        ip[10..12].copy_from_slice(&sum);
        frame.extend(ip);
        frame.extend(segment);
        frame
    }

    /// The TCP segment or UDP datagram.
    fn segment(&self) -> Vec<u8> {
        let mut segment = Vec::new();
        segment.extend(self.source.port().to_be_bytes());
        segment.extend(self.destination.port().to_be_bytes());
        let sum_at = if self.protocol.number() == TCP {
            segment.extend([0, 0, 0, 1, 0, 0, 0, 0, (TCP_LEN as u8 / 4) << 4, self.tcp_flags]);
            segment.extend(WINDOW.to_be_bytes());
            segment.extend([0; 4]);
            16
        } else {
            segment.extend((UDP_LEN as u16).to_be_bytes());
            segment.extend([0; 2]);
            6
        };
        let pseudo = [
            self.source.ip().octets().as_slice(),
            &self.destination.ip().octets(),
            &[0, self.protocol.number(), 0, segment.len() as u8],
        ]
        .concat();
        let sum = !checksum::combine(sum(&pseudo), sum(&segment));
        // A computed 0 is sent as all ones over UDP (RFC 768) and means the same over TCP.
        let sum = if sum == 0 { u16::MAX } else { sum };
        segment[sum_at..sum_at + 2].copy_from_slice(&sum.to_be_bytes());
        segment
    }
}

/// One's complement sum of an even number of bytes (RFC 1071).
fn sum(bytes: &[u8]) -> u16 {
    checksum::fold(bytes.chunks_exact(2).map(|pair| u64::from(u16::from_be_bytes([pair[0], pair[1]]))).sum())
}

#[cfg(test)]
mod tests {
    use lb_common::tcp::flag;

    use super::*;

    fn packet(protocol: Protocol) -> Packet {
        Packet {
            protocol,
            source: "198.51.100.7:40000".parse().unwrap(),
            destination: "203.0.113.10:80".parse().unwrap(),
            tcp_flags: if protocol == Protocol::Tcp { flag::SYN } else { 0 },
        }
    }

    /// Sums to all ones over a header and its checksum where the checksum is right (RFC 1071 §1 step 3).
    fn verify(frame: &[u8]) -> (u16, u16) {
        let (ip, segment) = frame[14..].split_at(IPV4_LEN);
        let pseudo = [&ip[12..20], &[0, ip[9], 0, segment.len() as u8]].concat();
        (sum(ip), checksum::combine(sum(&pseudo), sum(segment)))
    }

    #[test]
    fn frames_carry_right_lengths_and_checksums() {
        for (protocol, length) in [(Protocol::Tcp, 54), (Protocol::Udp, 42)] {
            let frame = packet(protocol).frame([0x52, 0, 0, 0, 0, 9]);
            assert_eq!(frame.len(), length);
            assert_eq!(usize::from(u16::from_be_bytes([frame[16], frame[17]])), length - 14);
            assert_eq!(verify(&frame), (0xffff, 0xffff), "{protocol}");
        }
    }

    #[test]
    fn the_key_is_the_tuple_in_network_byte_order() {
        let key = packet(Protocol::Tcp).key();
        assert_eq!(key.src_be.to_ne_bytes(), [198, 51, 100, 7]);
        assert_eq!((key.src_port_be, key.dst_port_be), (40_000u16.to_be(), 80u16.to_be()));
    }
}
