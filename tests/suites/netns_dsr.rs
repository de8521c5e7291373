//! The annotation `sluice.dev/forwarding-mode: dsr`: pods of other nodes see the client, and answer it directly.
#![allow(clippy::unwrap_used, reason = "a failed assumption is a failed test")]

use std::net::IpAddr;

use lb_tests::{
    cluster::{Cluster, near_and_far, near_and_far_vips, web},
    load::{Kind, Load},
    observe::{path_mtu, received_bytes},
    pattern, skip,
    topo::{CLIENT, EXTERNAL_IP, Routing, Topology},
    traffic::{IpFamily, Session, Target, echo_that_fits, requests},
};

const WAYS: [(Routing, &str); 3] =
    [(Routing::Native, "native"), (Routing::Native, "tc"), (Routing::Vxlan, "native")];

fn start(routing: Routing, mode: &str) -> Cluster {
    let topology = Topology::new(routing, 1).unwrap();
    Cluster::start_on(topology, &["--mode", mode], |topology| {
        near_and_far(topology).into_iter().map(|service| service.dsr()).collect()
    })
    .unwrap()
}

/// Bytes that the router has received from each node.
fn received(topology: &Topology) -> [u64; 2] {
    ["node-a", "node-b"].map(|port| received_bytes(&topology.router, port).unwrap())
}

#[test]
fn pods_of_both_nodes_see_the_client() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    for (routing, mode) in WAYS {
        let cluster = start(routing, mode);
        for (vip, pod) in near_and_far_vips() {
            for target in [Target::tcp(vip, 80), Target::udp(vip, 80)] {
                let tally = requests(&cluster.topology.client, target, 40, 8);
                assert_eq!(tally.answered.get(pod), Some(&40), "{routing:?} {mode} {target}: {tally:?}");
                let client = CLIENT.of(IpFamily::of(vip));
                assert_eq!(tally.seen, [(pod.to_owned(), client)].into(), "{routing:?} {mode} {target}");
            }
        }
    }
}

#[test]
fn replies_of_the_other_node_go_straight_to_the_client() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    for (routing, mode) in WAYS {
        let cluster = start(routing, mode);
        let topology = &cluster.topology;
        for (vip, _) in near_and_far_vips().filter(|(_, pod)| *pod == "pod-b1") {
            let before = received(topology);
            let load = Load::start(&topology.client, Target::tcp(vip, 80), &[(Kind::Download, 4)]).unwrap();
            load.advance(100).unwrap();
            let moved = load.progress().bytes;
            load.finish().unwrap();
            let after = received(topology);
            let [by_a, by_b] = [after[0] - before[0], after[1] - before[1]];
            assert!(by_b >= moved, "{routing:?} {mode} {vip}: node-b sent {by_b} of {moved} bytes");
            // Nothing but the client's acknowledgments, on their way to node-b.
            assert!(by_a < by_b / 4, "{routing:?} {mode} {vip}: node-a sent {by_a}, node-b {by_b} bytes");
        }
    }
}

/// What an outer header leaves of a frame of 1500 bytes.
const fn inner_mtu(vip: IpAddr) -> u64 {
    match vip {
        IpAddr::V4(_) => 1480,
        IpAddr::V6(_) => 1460,
    }
}

#[test]
fn transfers_and_datagrams_of_any_size_leave_room_for_the_outer_header() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    for (routing, mode) in WAYS {
        let cluster = start(routing, mode);
        let client = &cluster.topology.client;
        for (vip, pod) in near_and_far_vips() {
            let kinds = [(Kind::Connections, 2), (Kind::Exchange, 4), (Kind::Download, 4), (Kind::Upload, 4)];
            let load = Load::start(client, Target::tcp(vip, 80), &kinds).unwrap();
            load.advance(50).unwrap();
            load.finish().unwrap();
            let learned = path_mtu(client, vip).unwrap();
            let expected = (pod == "pod-b1" && routing == Routing::Native).then_some(inner_mtu(vip));
            assert_eq!(learned, expected, "{routing:?} {mode} {vip}");
            let Session::Udp(socket) = Session::open(client, Target::udp(vip, 80)).unwrap() else {
                panic!("asked for UDP")
            };
            for length in [100, 1440, 1472, 4096, 20_000] {
                let answer = echo_that_fits(&socket, pattern::at(0, length));
                let answer = answer
                    .unwrap_or_else(|error| panic!("{routing:?} {mode}: {length} bytes to {vip}: {error}"));
                assert_eq!(answer.pod, pod);
            }
        }
    }
}

#[test]
fn connections_survive_the_change_of_the_node_that_has_the_vip() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    let topology = Topology::new(Routing::Native, 2).unwrap();
    let cluster = Cluster::start_on(topology, &[], |topology| vec![web(topology).dsr()]).unwrap();
    let topology = &cluster.topology;
    let kinds = [(Kind::Connections, 2), (Kind::Exchange, 8), (Kind::Download, 4), (Kind::Upload, 4)];
    let loads = EXTERNAL_IP
        .both()
        .map(|address| Load::start(&topology.client, Target::tcp(address, 80), &kinds).unwrap());
    for node in [topology.node_b(), topology.node_a(), topology.node_b()] {
        topology.route_vips_to(node).unwrap();
        for load in &loads {
            load.advance(10).unwrap_or_else(|error| panic!("by {}: {error:#}", node.name));
        }
    }
    loads.into_iter().for_each(|load| load.finish().unwrap());
}
