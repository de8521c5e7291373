//! SCTP: the same number as the TCP and the UDP port, and a CRC32c that is right at both ends.
#![allow(clippy::unwrap_used, reason = "a failed assumption is a failed test")]

use lb_tests::{
    cluster::{Cluster, NODE_PORT},
    manifests::Service,
    pattern, pod, sctp, skip,
    topo::{CLIENT, EXTERNAL_IP, Routing, Topology},
    traffic::{IpFamily, Protocol, Target, requests},
};

const CLIENT_PORT: u16 = 40_000;

/// A Service on one pod, local or remote as seen from node-a.
fn start(pod: &str, mode: &str) -> Cluster {
    let topology = Topology::new(Routing::Native, 1).unwrap();
    Cluster::start_on(topology, &["--mode", mode], |topology| {
        let pods = topology.pods().filter(|other| other.name == pod);
        vec![Service::new("web", pods).node_port(NODE_PORT).external_ip(EXTERNAL_IP).sctp()]
    })
    .unwrap()
}

/// Sends packets of every length class to a frontend and answers to each of them.
fn associate(cluster: &Cluster, pod: &str, frontend: Target) {
    let topology = &cluster.topology;
    let (vip, family) = (frontend.address.ip(), frontend.family());
    let pod = topology.pods().find(|other| other.name == pod).unwrap();
    let client = sctp::Socket::open(&topology.client, CLIENT.of(family)).unwrap();
    let server = sctp::Socket::open(pod.namespace(), pod.addresses.of(family)).unwrap();
    for (number, length) in [16, 0, 1, 2, 3, 100, 1001, 1400].into_iter().enumerate() {
        let (ask, reply) = if number == 0 { (sctp::INIT, sctp::INIT_ACK) } else { (sctp::DATA, sctp::DATA) };
        let payload = pattern::at(length as u64, length).to_vec();
        let packet = sctp::Packet {
            src: CLIENT_PORT,
            dst: frontend.address.port(),
            chunk: ask,
            payload: payload.clone(),
        };
        client.send(&packet.bytes(), vip).unwrap();
        let (bytes, seen) = server.receive().unwrap_or_else(|error| panic!("{frontend}, {length}: {error}"));
        let got = sctp::Packet::read(&bytes).unwrap_or_else(|| panic!("{frontend}, {length}: bad checksum"));
        assert_eq!((got.dst, got.chunk, &got.payload), (pod::PORT, ask, &payload), "{frontend}");

        let answer = sctp::Packet { src: pod::PORT, dst: got.src, chunk: reply, payload: payload.clone() };
        server.send(&answer.bytes(), seen).unwrap();
        let (bytes, seen) = client.receive().unwrap_or_else(|error| panic!("{frontend}, {length}: {error}"));
        let got = sctp::Packet::read(&bytes).unwrap_or_else(|| panic!("{frontend}, {length}: bad checksum"));
        assert_eq!(
            got,
            sctp::Packet { src: frontend.address.port(), dst: CLIENT_PORT, chunk: reply, payload }
        );
        assert_eq!(seen, vip);
    }
    // A packet that was broken on its way must not arrive as a sound one.
    let payload = pattern::at(0, 64).to_vec();
    let mut broken =
        sctp::Packet { src: CLIENT_PORT, dst: frontend.address.port(), chunk: sctp::DATA, payload }.bytes();
    broken[20] ^= 1;
    client.send(&broken, vip).unwrap();
    assert_eq!(sctp::Packet::read(&server.receive().unwrap().0), None, "{frontend}: the error is hidden");
}

#[test]
fn sctp_reaches_local_and_remote_pods_with_right_checksums_beside_tcp_and_udp_of_the_same_number() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    for (pod, mode) in [("pod-a1", "native"), ("pod-b1", "native"), ("pod-a1", "tc"), ("pod-b1", "tc")] {
        let cluster = start(pod, mode);
        let topology = &cluster.topology;
        let node = topology.node_a().addresses;
        for (address, port) in [(node, NODE_PORT), (EXTERNAL_IP, 80)] {
            for family in IpFamily::ALL {
                let target = |protocol| Target { protocol, address: (address.of(family), port).into() };
                associate(&cluster, pod, target(Protocol::Sctp));
                for other in [Protocol::Tcp, Protocol::Udp] {
                    let tally = requests(&topology.client, target(other), 4, 2);
                    assert_eq!(tally.answered.get(pod), Some(&4), "{mode} {}: {tally:?}", target(other));
                }
            }
        }
    }
}
