//! Packets for `test_run`: built and read back with etherparse, so that no line of the code under test takes part.

use std::net::Ipv4Addr;

use etherparse::{
    Ethernet2Header, IpNumber, Ipv4Header, Ipv4Options, SlicedPacket, TcpHeader, TransportSlice, UdpHeader,
};

/// The MAC addresses that built packets carry.
#[derive(Clone, Copy, Debug)]
pub struct Macs {
    /// Source.
    pub src: [u8; 6],
    /// Destination.
    pub dst: [u8; 6],
}

impl Default for Macs {
    /// To the loopback device, whose address is all zeros: `test_run` without a context takes packets as its.
    fn default() -> Self {
        Self { src: [2, 0, 0, 0, 0, 1], dst: [0; 6] }
    }
}

/// A TCP or UDP packet to be built.
#[derive(Clone, Debug)]
pub struct Spec {
    /// Link-layer addresses.
    pub macs: Macs,
    /// Source address and port.
    pub src: (Ipv4Addr, u16),
    /// Destination address and port.
    pub dst: (Ipv4Addr, u16),
    /// Time to live.
    pub ttl: u8,
    /// IPv4 options, a multiple of four bytes.
    pub options: Vec<u8>,
    /// TCP flags, or None for UDP.
    pub tcp: Option<Tcp>,
    /// Payload.
    pub payload: Vec<u8>,
    /// UDP only: leave the checksum out (RFC 768).
    pub without_checksum: bool,
}

/// The part of a TCP header that tests care about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tcp {
    /// SYN.
    pub syn: bool,
    /// ACK.
    pub ack: bool,
    /// FIN.
    pub fin: bool,
    /// RST.
    pub rst: bool,
    /// Sequence number.
    pub sequence: u32,
    /// Acknowledgment number.
    pub acknowledgment: u32,
}

/// A SYN.
pub const SYN: Tcp = Tcp { syn: true, ack: false, fin: false, rst: false, sequence: 1000, acknowledgment: 0 };
/// A SYN-ACK.
pub const SYN_ACK: Tcp = Tcp { ack: true, acknowledgment: 1001, ..SYN };
/// A segment in the middle of a connection.
pub const ACK: Tcp =
    Tcp { syn: false, ack: true, fin: false, rst: false, sequence: 1001, acknowledgment: 5001 };
/// The end of a direction.
pub const FIN: Tcp = Tcp { fin: true, ..ACK };
/// A reset.
pub const RST: Tcp = Tcp { rst: true, ..ACK };

/// A TCP segment.
pub fn tcp(src: (Ipv4Addr, u16), dst: (Ipv4Addr, u16), tcp: Tcp) -> Spec {
    Spec { tcp: Some(tcp), ..udp(src, dst) }
}

/// A UDP datagram.
pub fn udp(src: (Ipv4Addr, u16), dst: (Ipv4Addr, u16)) -> Spec {
    Spec {
        macs: Macs::default(),
        src,
        dst,
        ttl: 64,
        options: Vec::new(),
        tcp: None,
        payload: b"payload of odd length".to_vec(),
        without_checksum: false,
    }
}

impl Spec {
    /// The frame's bytes.
    ///
    /// # Panics
    /// Where the packet cannot exist (payload or options too long).
    #[expect(clippy::expect_used, reason = "a packet that cannot be built is a mistake in a test")]
    pub fn build(&self) -> Vec<u8> {
        let mut l4 = Vec::new();
        let mut ip = Ipv4Header::new(0, self.ttl, IpNumber::UDP, self.src.0.octets(), self.dst.0.octets())
            .expect("an empty payload fits");
        ip.options = Ipv4Options::try_from(self.options.as_slice()).expect("options of whole words");
        if let Some(flags) = self.tcp {
            let mut tcp = TcpHeader::new(self.src.1, self.dst.1, flags.sequence, 4096);
            tcp.acknowledgment_number = flags.acknowledgment;
            (tcp.syn, tcp.ack, tcp.fin, tcp.rst) = (flags.syn, flags.ack, flags.fin, flags.rst);
            ip.protocol = IpNumber::TCP;
            tcp.checksum = tcp.calc_checksum_ipv4(&ip, &self.payload).expect("the payload fits");
            tcp.write(&mut l4).expect("a vector takes all");
        } else {
            let mut udp = UdpHeader::with_ipv4_checksum(self.src.1, self.dst.1, &ip, &self.payload)
                .expect("the payload fits");
            if self.without_checksum {
                udp.checksum = 0;
            }
            udp.write(&mut l4).expect("a vector takes all");
        }
        l4.extend_from_slice(&self.payload);
        ip.set_payload_len(l4.len()).expect("the payload fits");
        ip.header_checksum = ip.calc_header_checksum();
        let mut frame = Vec::new();
        Ethernet2Header {
            source: self.macs.src,
            destination: self.macs.dst,
            ether_type: etherparse::EtherType::IPV4,
        }
        .write(&mut frame)
        .expect("a vector takes all");
        ip.write(&mut frame).expect("a vector takes all");
        frame.extend_from_slice(&l4);
        frame
    }
}

/// A packet read back: what a receiver with all checks would see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Destination and source MAC.
    pub macs: [u8; 12],
    /// Source address and port.
    pub src: (Ipv4Addr, u16),
    /// Destination address and port.
    pub dst: (Ipv4Addr, u16),
    /// Time to live.
    pub ttl: u8,
    /// TCP flags, or None for UDP.
    pub tcp: Option<Tcp>,
    /// Payload.
    pub payload: Vec<u8>,
    /// UDP checksum field.
    pub udp_checksum: Option<u16>,
}

/// Reads a TCP or UDP packet.
///
/// # Panics
/// Where a length or checksum is wrong.
pub fn read(frame: &[u8]) -> Seen {
    let packet = SlicedPacket::from_ethernet(frame).unwrap_or_else(|error| panic!("{error}: {frame:02x?}"));
    let Some(etherparse::NetSlice::Ipv4(ip)) = &packet.net else { panic!("not IPv4: {frame:02x?}") };
    let header = ip.header().to_header();
    assert_eq!(header.header_checksum, header.calc_header_checksum(), "IPv4 header checksum");
    let (src, dst) = (ip.header().source_addr(), ip.header().destination_addr());
    let mut macs = [0; 12];
    macs.copy_from_slice(&frame[..12]);
    let seen = |ports: (u16, u16), tcp, payload: &[u8], udp_checksum| Seen {
        macs,
        src: (src, ports.0),
        dst: (dst, ports.1),
        ttl: header.time_to_live,
        tcp,
        payload: payload.to_vec(),
        udp_checksum,
    };
    match &packet.transport {
        Some(TransportSlice::Tcp(tcp)) => {
            let expected = tcp.to_header().calc_checksum_ipv4(&header, tcp.payload());
            assert_eq!(Ok(tcp.checksum()), expected, "TCP checksum");
            let flags = Tcp {
                syn: tcp.syn(),
                ack: tcp.ack(),
                fin: tcp.fin(),
                rst: tcp.rst(),
                sequence: tcp.sequence_number(),
                acknowledgment: tcp.acknowledgment_number(),
            };
            seen((tcp.source_port(), tcp.destination_port()), Some(flags), tcp.payload(), None)
        }
        Some(TransportSlice::Udp(udp)) => {
            if udp.checksum() != 0 {
                let expected = udp.to_header().calc_checksum_ipv4(&header, udp.payload());
                assert_eq!(Ok(udp.checksum()), expected, "UDP checksum");
            }
            let ports = (udp.source_port(), udp.destination_port());
            seen(ports, None, udp.payload(), Some(udp.checksum()))
        }
        other => panic!("neither TCP nor UDP: {other:?}"),
    }
}

/// An ICMP error read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenIcmp {
    /// Source address.
    pub src: Ipv4Addr,
    /// Destination address.
    pub dst: Ipv4Addr,
    /// Type and code.
    pub kind: (u8, u8),
    /// The quoted datagram: IPv4 header and at least eight bytes.
    pub quoted: Vec<u8>,
}

/// Reads an ICMP error.
///
/// # Panics
/// Where a length or checksum is wrong.
pub fn read_icmp(frame: &[u8]) -> SeenIcmp {
    let packet = SlicedPacket::from_ethernet(frame).unwrap_or_else(|error| panic!("{error}: {frame:02x?}"));
    let Some(etherparse::NetSlice::Ipv4(ip)) = &packet.net else { panic!("not IPv4: {frame:02x?}") };
    let header = ip.header().to_header();
    assert_eq!(header.header_checksum, header.calc_header_checksum(), "IPv4 header checksum");
    let Some(TransportSlice::Icmpv4(icmp)) = &packet.transport else { panic!("not ICMP: {frame:02x?}") };
    assert_eq!(icmp.checksum(), icmp.header().icmp_type.calc_checksum(icmp.payload()), "ICMP checksum");
    SeenIcmp {
        src: ip.header().source_addr(),
        dst: ip.header().destination_addr(),
        kind: (icmp.type_u8(), icmp.code_u8()),
        quoted: icmp.payload().to_vec(),
    }
}
