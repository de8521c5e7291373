//! The harness itself: its network carries traffic before any load balancer runs in it, and loses none of it.

use std::io;

use lb_tests::{
    load::{Kind, Load},
    skip,
    topo::{CLIENT, Routing, Topology},
    traffic::{self, Session, Target, ask},
};

#[test]
fn every_pod_answers_the_other_node_and_the_client_directly() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    for routing in [Routing::Native, Routing::Vxlan] {
        let topology = Topology::new(routing, 2).unwrap();
        topology
            .router
            .ip("route add 10.244.1.0/24 via 192.0.2.11\nroute add 10.244.2.0/24 via 192.0.2.12")
            .unwrap();
        for pod in topology.pods() {
            for target in [Target::tcp(pod.address, pod.port), Target::udp(pod.address, pod.port)] {
                let answer = ask(&topology.client, target).unwrap();
                assert_eq!((answer.pod, answer.client.ip()), (pod.name.clone(), CLIENT.into()), "{target}");
                for node in &topology.nodes {
                    assert_eq!(
                        ask(&node.namespace, target).unwrap().pod,
                        pod.name,
                        "{target} from {}",
                        node.name
                    );
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
    let mut topology = Topology::new(Routing::Native, 1).unwrap();
    topology.router.ip("route add 10.244.1.0/24 via 192.0.2.11").unwrap();
    let target = Target::tcp(topology.pod("pod-a1").address, 8080);
    let kinds = [(Kind::Connections, 2), (Kind::Exchange, 2), (Kind::Download, 2), (Kind::Upload, 2)];
    let load = Load::start(&topology.client, target, &kinds).unwrap();
    load.advance(20).unwrap();
    load.finish().unwrap();

    let tally = traffic::requests(&topology.client, target, 40, 8);
    assert_eq!((tally.answered["pod-a1"], tally.failures()), (40, 0), "{tally:?}");

    let load = Load::start(&topology.client, target, &kinds).unwrap();
    topology.pod("pod-a1").stop().unwrap();
    load.advance(1000).unwrap_err();
    let tally = traffic::requests(&topology.client, target, 3, 1);
    assert_eq!(tally.failed["connection refused"], 3, "{tally:?}");
    let mut udp = Session::open(&topology.client, Target::udp(target.address.ip().to_owned(), 8080)).unwrap();
    assert_eq!(udp.ask().unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
}

#[test]
fn one_source_port_serves_sessions_to_several_targets() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    let topology = Topology::new(Routing::Native, 2).unwrap();
    let node = topology.node_a();
    let mut sessions: Vec<_> = node
        .pods
        .iter()
        .map(|pod| {
            Session::open_from_port(&node.namespace, 40_000, Target::tcp(pod.address, pod.port)).unwrap()
        })
        .collect();
    let answers: Vec<_> = sessions.iter_mut().map(|session| session.ask().unwrap()).collect();
    assert_eq!(answers.iter().map(|answer| answer.pod.as_str()).collect::<Vec<_>>(), ["pod-a1", "pod-a2"]);
    assert!(answers.iter().all(|answer| answer.client.port() == 40_000), "{answers:?}");
}
