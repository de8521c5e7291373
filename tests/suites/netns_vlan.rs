//! Frames with VLAN tags, which XDP meets as they are on the cable.
//!
//! Frames are made by hand: VLAN devices belong to a kernel module that not every machine of the tests has.
#![allow(clippy::unwrap_used, reason = "a failed assumption is a failed test")]

use std::net::IpAddr;

use etherparse::{
    Icmpv4Type, Icmpv6Type, IpHeaders, PacketBuilder, PacketBuilderStep, SlicedPacket, TransportSlice,
};
use lb_tests::{
    cluster::{Cluster, near_and_far, near_and_far_vips, web},
    frame::Cable,
    observe::mac,
    skip,
    topo::{CLIENT, EXTERNAL_IP, Routing, Topology},
    traffic::{IpFamily, Session, Target},
};

/// What stands between a frame's addresses and the EtherType of its packet: no tag, one, two.
const TAGS: [&[u8]; 3] = [&[], &[0x81, 0, 0, 5], &[0x88, 0xa8, 0, 7, 0x81, 0, 0, 5]];

/// The cable between router and node-a, at the router's end.
struct End {
    cable: Cable,
    router: [u8; 6],
    node: [u8; 6],
}

impl End {
    fn open(topology: &Topology) -> Self {
        Self {
            cable: Cable::open(&topology.router, "node-a").unwrap(),
            router: mac(&topology.router, "node-a").unwrap(),
            node: mac(&topology.node_a().namespace, "eth0").unwrap(),
        }
    }

    fn send(&self, tags: &[u8], packet: &[u8]) {
        self.cable.send(&[&self.node, &self.router, tags, &ethertype(packet), packet].concat()).unwrap();
    }

    /// The packet of the next frame with these tags, and of no other, that the node sends to the router.
    fn receive(&self, tags: &[u8], like: &[u8]) -> Vec<u8> {
        let head = [&self.router, &self.node, tags, &ethertype(like)].concat();
        // Neighbours talk too.
        for _ in 0..100 {
            let frame = self.cable.receive().unwrap_or_else(|error| panic!("tags {tags:02x?}: {error}"));
            if let Some(packet) = frame.strip_prefix(&head[..]) {
                return packet.to_vec();
            }
        }
        panic!("a hundred frames, and none with the tags {tags:02x?}");
    }
}

/// The EtherType of a packet.
fn ethertype(packet: &[u8]) -> [u8; 2] {
    if packet[0] >> 4 == 4 { [0x08, 0x00] } else { [0x86, 0xdd] }
}

/// The head of a packet from the client.
fn to(address: IpAddr) -> PacketBuilderStep<IpHeaders> {
    match address {
        IpAddr::V4(vip) => PacketBuilder::ipv4(CLIENT.v4.octets(), vip.octets(), 63),
        IpAddr::V6(vip) => PacketBuilder::ipv6(CLIENT.v6.octets(), vip.octets(), 63),
    }
}

fn echo_request(vip: IpAddr, number: u16) -> Vec<u8> {
    let mut packet = Vec::new();
    let payload = b"to whom it concerns";
    match vip {
        IpAddr::V4(_) => to(vip).icmpv4_echo_request(7, number).write(&mut packet, payload).unwrap(),
        IpAddr::V6(_) => to(vip).icmpv6_echo_request(7, number).write(&mut packet, payload).unwrap(),
    }
    packet
}

fn is_echo_reply(packet: &[u8], number: u16) -> bool {
    let header = match SlicedPacket::from_ip(packet).unwrap().transport {
        Some(TransportSlice::Icmpv4(icmp)) => match icmp.icmp_type() {
            Icmpv4Type::EchoReply(header) => header,
            _ => return false,
        },
        Some(TransportSlice::Icmpv6(icmp)) => match icmp.icmp_type() {
            Icmpv6Type::EchoReply(header) => header,
            _ => return false,
        },
        _ => return false,
    };
    (header.id, header.seq) == (7, number)
}

#[test]
fn what_a_vip_answers_itself_goes_back_under_the_tags_that_it_came_with() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    let cluster = Cluster::start(Routing::Native, 1, |topology| vec![web(topology)]).unwrap();
    let end = End::open(&cluster.topology);
    for vip in EXTERNAL_IP.both() {
        for (number, tags) in (1..).zip(TAGS) {
            let ping = echo_request(vip, number);
            end.send(tags, &ping);
            let reply = end.receive(tags, &ping);
            assert!(is_echo_reply(&reply, number), "{vip}, tags {tags:02x?}: {reply:02x?}");

            let mut opening = Vec::new();
            to(vip).tcp(40_000 + number, 81, 1, 1000).syn().write(&mut opening, &[]).unwrap();
            end.send(tags, &opening);
            let answer = end.receive(tags, &opening);
            let answer = SlicedPacket::from_ip(&answer).unwrap();
            let Some(TransportSlice::Tcp(reset)) = &answer.transport else { panic!("{vip}: {answer:?}") };
            assert!(reset.rst() && reset.destination_port() == 40_000 + number, "{vip}: {answer:?}");
        }
    }
}

#[test]
fn tagged_requests_to_a_pod_of_another_node_leave_as_the_route_says() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    let cluster = Cluster::start(Routing::Native, 1, near_and_far).unwrap();
    let end = End::open(&cluster.topology);
    for (vip, pod) in near_and_far_vips().filter(|(_, pod)| *pod == "pod-b1") {
        for (port, tags) in (40_001..).zip(TAGS) {
            // The client listens; its question takes another way than its own cable.
            let session = Session::open_from_port(&cluster.topology.client, port, Target::udp(vip, 80));
            let Session::Udp(socket) = session.unwrap() else { panic!("asked for UDP") };
            let mut question = Vec::new();
            to(vip).udp(port, 80).write(&mut question, b"who").unwrap();
            end.send(tags, &question);
            let mut answer = [0; 256];
            let length = socket.recv(&mut answer).unwrap_or_else(|error| panic!("{tags:02x?}: {error}"));
            let node = cluster.topology.node_a().addresses.of(IpFamily::of(vip));
            let answer = String::from_utf8_lossy(&answer[..length]);
            assert!(answer.starts_with(pod) && answer.contains(&node.to_string()), "{vip}: {answer}");
        }
    }
}
