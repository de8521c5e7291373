//! The harness itself: its network carries traffic before any load balancer runs in it, and loses none of it.
#![allow(clippy::unwrap_used, reason = "a failed assumption is a failed test")]

use std::io;

use lb_tests::{
    load::{Kind, Load},
    observe::{path_mtu, received_bytes},
    skip,
    topo::{CLIENT, Layout, Routing, Topology},
    traffic::{self, IpFamily, Session, Target, ask, echo_that_fits},
};

/// One of each.
const KINDS: [(Kind, usize); 4] =
    [(Kind::Connections, 2), (Kind::Exchange, 2), (Kind::Download, 2), (Kind::Upload, 2)];

#[test]
fn every_pod_answers_the_other_node_and_the_client_directly() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    for routing in [Routing::Native, Routing::Vxlan] {
        let topology = Topology::new(routing, 2).unwrap();
        topology.route_pods().unwrap();
        for (pod, family) in topology.pods().flat_map(|pod| IpFamily::ALL.map(|family| (pod, family))) {
            let address = pod.addresses.of(family);
            for target in [Target::tcp(address, pod.port), Target::udp(address, pod.port)] {
                let answer = ask(&topology.client, target).unwrap();
                assert_eq!(
                    (answer.pod, answer.client.ip()),
                    (pod.name.clone(), CLIENT.of(family)),
                    "{target}"
                );
                for node in &topology.nodes {
                    let answer = ask(&node.namespace, target).unwrap();
                    assert_eq!(answer.pod, pod.name, "{target} from {}", node.name);
                }
            }
        }
    }
}

#[test]
fn load_goes_on_and_a_dead_pod_shows() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    for family in IpFamily::ALL {
        let mut topology = Topology::new(Routing::Native, 1).unwrap();
        topology.route_pods().unwrap();
        let address = topology.pod("pod-a1").addresses.of(family);
        let target = Target::tcp(address, 8080);
        let load = Load::start(&topology.client, target, &KINDS).unwrap();
        load.advance(20).unwrap();
        load.finish().unwrap();

        let tally = traffic::requests(&topology.client, target, 40, 8);
        assert_eq!((tally.answered["pod-a1"], tally.failures()), (40, 0), "{tally:?}");

        let load = Load::start(&topology.client, target, &KINDS).unwrap();
        topology.pod("pod-a1").stop().unwrap();
        load.advance(1000).unwrap_err();
        let tally = traffic::requests(&topology.client, target, 3, 1);
        assert_eq!(tally.failed["connection refused"], 3, "{tally:?}");
        let mut udp = Session::open(&topology.client, Target::udp(address, 8080)).unwrap();
        assert_eq!(udp.ask().unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    }
}

#[test]
fn one_source_port_serves_sessions_to_several_targets() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    let topology = Topology::new(Routing::Native, 2).unwrap();
    let node = topology.node_a();
    for family in IpFamily::ALL {
        let open = |pod: &lb_tests::pod::Pod| {
            let target = Target::tcp(pod.addresses.of(family), pod.port);
            Session::open_from_port(&node.namespace, 40_000, target).unwrap()
        };
        let mut sessions: Vec<_> = node.pods.iter().map(open).collect();
        let answers: Vec<_> = sessions.iter_mut().map(|session| session.ask().unwrap()).collect();
        assert_eq!(
            answers.iter().map(|answer| answer.pod.as_str()).collect::<Vec<_>>(),
            ["pod-a1", "pod-a2"]
        );
        assert!(answers.iter().all(|answer| answer.client.port() == 40_000), "{answers:?}");
    }
}

/// Transfers both ways, and datagrams of every size, to a pod on each node.
fn carries_everything(topology: &Topology) {
    topology.route_pods().unwrap();
    for (pod, family) in topology.pods().flat_map(|pod| IpFamily::ALL.map(|family| (pod, family))) {
        let address = pod.addresses.of(family);
        let load = Load::start(&topology.client, Target::tcp(address, pod.port), &KINDS).unwrap();
        load.advance(20).unwrap();
        load.finish().unwrap();
        let Session::Udp(socket) = Session::open(&topology.client, Target::udp(address, pod.port)).unwrap()
        else {
            panic!("not UDP");
        };
        for length in [1, 1400, 4096, 20_000] {
            assert_eq!(echo_that_fits(&socket, &vec![b'x'; length]).unwrap().pod, pod.name, "{length} bytes");
        }
    }
}

#[test]
fn jumbo_frames_and_two_uplinks_carry_everything() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    carries_everything(&Topology::with(Layout { mtu: 9000, ..Layout::default() }).unwrap());
    let topology = Topology::with(Layout { asymmetric: true, ..Layout::default() }).unwrap();
    carries_everything(&topology);
    for port in ["node-a-second", "node-b-second"] {
        assert!(received_bytes(&topology.router, port).unwrap() > 100_000, "replies leave by {port}");
    }
}

#[test]
fn narrow_links_hold_no_transfer_up() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    for routing in [Routing::Native, Routing::Vxlan] {
        let topology = Topology::new(routing, 1).unwrap();
        topology.narrow_towards_client(1400).unwrap();
        topology.nodes.iter().for_each(|node| node.narrow_towards_pods(1300).unwrap());
        carries_everything(&topology);
        for (pod, family) in topology.pods().flat_map(|pod| IpFamily::ALL.map(|family| (pod, family))) {
            let towards_pod = path_mtu(&topology.client, pod.addresses.of(family)).unwrap();
            assert_eq!(towards_pod, Some(1300), "{} over {family}", pod.name);
            let towards_client = path_mtu(pod.namespace(), CLIENT.of(family)).unwrap();
            assert!(towards_client.is_none_or(|mtu| mtu == 1400), "{} over {family}", pod.name);
        }
    }
}
