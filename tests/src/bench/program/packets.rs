//! The frames of the benchmark's cases, of either family.
#![expect(clippy::expect_used, reason = "the payload is short: every frame can be built")]

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context, Result, bail};
use etherparse::{
    Ethernet2Header, IpHeaders, IpNumber, NetSlice, PacketBuilder, PacketBuilderStep, SlicedPacket,
    TransportSlice,
};

use crate::packet::Macs;

const PAYLOAD: &[u8] = b"payload of odd length";
const TTL: u8 = 64;

/// The first segment of a connection.
pub(super) fn syn(src: SocketAddr, dst: SocketAddr) -> Vec<u8> {
    let mut frame = Vec::new();
    let segment = ip(src.ip(), dst.ip()).tcp(src.port(), dst.port(), 1000, 4096).syn();
    segment.write_to_vec(&mut frame, PAYLOAD).expect("a vector takes all");
    frame
}

/// A segment in the middle of a connection.
pub(super) fn ack(src: SocketAddr, dst: SocketAddr) -> Vec<u8> {
    let mut frame = Vec::new();
    let segment = ip(src.ip(), dst.ip()).tcp(src.port(), dst.port(), 1001, 4096).ack(5001);
    segment.write_to_vec(&mut frame, PAYLOAD).expect("a vector takes all");
    frame
}

/// A datagram.
pub(super) fn datagram(src: SocketAddr, dst: SocketAddr) -> Vec<u8> {
    let mut frame = Vec::new();
    let datagram = ip(src.ip(), dst.ip()).udp(src.port(), dst.port());
    datagram.write_to_vec(&mut frame, PAYLOAD).expect("a vector takes all");
    frame
}

/// An IPv4 frame's packet in an outer IPv4 header.
pub(super) fn tunnelled(src: IpAddr, dst: IpAddr, frame: &[u8]) -> Vec<u8> {
    let mut outer = Vec::new();
    let inner = frame.get(Ethernet2Header::LEN..).unwrap_or_default();
    ip(src, dst).write_to_vec(&mut outer, IpNumber::IPV4, inner).expect("a vector takes all");
    outer
}

/// Source and destination of a TCP segment.
pub(super) fn ends(frame: &[u8]) -> Result<(SocketAddr, SocketAddr)> {
    let packet = SlicedPacket::from_ethernet(frame)?;
    let (src, dst): (IpAddr, IpAddr) = match packet.net.context("no IP header")? {
        NetSlice::Ipv4(ip) => (ip.header().source_addr().into(), ip.header().destination_addr().into()),
        NetSlice::Ipv6(ip) => (ip.header().source_addr().into(), ip.header().destination_addr().into()),
        NetSlice::Arp(_) => bail!("an ARP packet"),
    };
    let Some(TransportSlice::Tcp(tcp)) = packet.transport else { bail!("no TCP header") };
    Ok((SocketAddr::new(src, tcp.source_port()), SocketAddr::new(dst, tcp.destination_port())))
}

/// A frame to the loopback device, see [`Macs`].
fn ip(src: IpAddr, dst: IpAddr) -> PacketBuilderStep<IpHeaders> {
    let Macs { src: from, dst: to } = Macs::default();
    let frame = PacketBuilder::ethernet2(from, to);
    match (src, dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => frame.ipv4(src.octets(), dst.octets(), TTL),
        (src, dst) => frame.ipv6(octets(src), octets(dst), TTL),
    }
}

fn octets(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}
