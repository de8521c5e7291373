//! Flows that are alike: the same client port to several VIPs, to several nodes, again and again.
#![allow(clippy::unwrap_used, reason = "a failed assumption is a failed test")]

use std::{collections::BTreeSet, io::ErrorKind, net::SocketAddr};

use lb_common::{drop_reason::DropReason, stat::Stat};
use lb_tests::{
    agent::Agent,
    cluster::{Cluster, NODE_PORT},
    manifests::Service,
    skip,
    topo::{CLIENT, EXTERNAL_IP, LOAD_BALANCER_IP, Node, Routing, Topology},
    traffic::{Answer, IpFamily, Protocol, Session, Target, get, requests},
    wait,
};

fn count(agent: &Agent, wanted: Stat) -> u64 {
    let stats = agent.maps().unwrap().stats().unwrap();
    stats.into_iter().find(|(stat, _)| *stat == wanted).unwrap().1
}

fn drops(agent: &Agent) -> Vec<(DropReason, u64)> {
    agent.maps().unwrap().drops().unwrap().into_iter().filter(|(_, count)| *count > 0).collect()
}

/// Sessions from one client port to every frontend at once; each is asked thrice, in turns.
fn asked_in_turns(cluster: &Cluster, port: u16, targets: &[Target]) -> Vec<Answer> {
    let open = |target: &Target| Session::open_from_port(&cluster.topology.client, port, *target).unwrap();
    let mut sessions: Vec<_> = targets.iter().map(open).collect();
    let rounds: Vec<Vec<_>> =
        (0..3).map(|_| sessions.iter_mut().map(|session| session.ask().unwrap()).collect()).collect();
    assert!(rounds.iter().all(|round| *round == rounds[0]), "a session changed sides: {rounds:?}");
    rounds.into_iter().next().unwrap()
}

/// One pod behind both VIPs and the node port: three frontends that differ only before the translation.
fn one_pod(topology: &Topology, pod: &str) -> Vec<Service> {
    let service = Service::new("web", topology.pods().filter(|other| other.name == pod));
    vec![service.node_port(NODE_PORT).external_ip(EXTERNAL_IP).load_balancer_ip(LOAD_BALANCER_IP)]
}

#[test]
fn one_client_port_may_reach_one_pod_by_several_frontends_at_once() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    for pod in ["pod-a1", "pod-b1"] {
        let cluster = Cluster::start(Routing::Native, 1, |topology| one_pod(topology, pod)).unwrap();
        let all = one_pod(&cluster.topology, pod)[0].targets(cluster.topology.node_a());
        let kinds =
            IpFamily::ALL.into_iter().flat_map(|family| [(family, Protocol::Tcp), (family, Protocol::Udp)]);
        for kind in kinds {
            let alike = |target: &Target| (target.family(), target.protocol) == kind;
            let targets: Vec<_> = all.iter().copied().filter(alike).collect();
            let answers = asked_in_turns(&cluster, 40_000, &targets);
            let ports: BTreeSet<_> = answers.iter().map(|answer| answer.client.port()).collect();
            assert_eq!(ports.len(), targets.len(), "{pod} must be able to tell them apart: {answers:?}");
            assert!(answers.iter().all(|answer| answer.pod == pod), "{answers:?}");
            if pod == "pod-a1" {
                assert!(answers.iter().all(|answer| answer.client.ip() == CLIENT.of(kind.0)), "{answers:?}");
            }
        }
        if pod == "pod-a1" {
            let collisions = count(&cluster.agents[0], Stat::SourcePortCollision);
            assert_eq!(collisions, 8, "two each of TCP and UDP");
        }
        assert_eq!(drops(&cluster.agents[0]), []);
    }
}

#[test]
fn one_client_port_may_reach_both_nodes_at_once() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    let cluster = Cluster::web(Routing::Native, 2).unwrap();
    for (port, family) in (40_000..40_020).flat_map(|port| IpFamily::ALL.map(|family| (port, family))) {
        let node_port = |node: &Node| Target::tcp(node.addresses.of(family), NODE_PORT);
        asked_in_turns(&cluster, port, &cluster.topology.nodes.each_ref().map(node_port));
    }
    assert_eq!((drops(&cluster.agents[0]), drops(&cluster.agents[1])), (vec![], vec![]));
}

#[test]
fn a_client_that_uses_its_port_again_opens_a_new_connection() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    let cluster = Cluster::web(Routing::Native, 1).unwrap();
    let client = &cluster.topology.client;
    for (port, family) in (40_000..40_020).flat_map(|port| IpFamily::ALL.map(|family| (port, family))) {
        // The pod closes first: its side waits in TIME_WAIT while the client's port is free again, once the pod has
        // acknowledged the client's FIN.
        let page = || {
            wait::until("the client's kernel lets go of the port", || {
                match get(client, port, SocketAddr::new(EXTERNAL_IP.of(family), 80)) {
                    Err(error) if error.kind() == ErrorKind::AddrNotAvailable => None,
                    page => Some(page.unwrap()),
                }
            })
            .unwrap()
        };
        let first = page();
        assert!((0..3).all(|_| page() == first), "the ring answers alike for a tuple");
    }
    assert_eq!(drops(&cluster.agents[0]), []);
}

#[test]
fn many_connections_at_once_spread_and_none_is_lost() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    let cluster = Cluster::web(Routing::Native, 2).unwrap();
    for family in IpFamily::ALL {
        let vip = EXTERNAL_IP.of(family);
        let tally = requests(&cluster.topology.client, Target::tcp(vip, 80), 2000, 64);
        assert_eq!(tally.failures(), 0, "{family}: {tally:?}");
        let even = tally.answered.values().all(|count| (400..600).contains(count));
        assert!(even, "{family}: 2000 over four pods: {tally:?}");
        let udp = requests(&cluster.topology.client, Target::udp(vip, 80), 400, 16);
        assert_eq!(udp.failures(), 0, "{family}: {udp:?}");
    }
    assert_eq!(drops(&cluster.agents[0]), []);
}

#[test]
fn both_nodes_choose_the_same_pod_for_a_flow() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    let cluster = Cluster::web(Routing::Native, 2).unwrap();
    let topology = &cluster.topology;
    let chosen = |family| -> Vec<String> {
        let target = Target::udp(EXTERNAL_IP.of(family), 80);
        let ask = |port| Session::open_from_port(&topology.client, port, target).unwrap().ask().unwrap().pod;
        (41_000..41_030).map(ask).collect()
    };
    let by_a = IpFamily::ALL.map(chosen);
    topology.route_vips_to(topology.node_b()).unwrap();
    assert_eq!(by_a, IpFamily::ALL.map(chosen));
    for chosen in by_a {
        assert_eq!(chosen.iter().collect::<BTreeSet<_>>().len(), 4, "every pod has its turn");
    }
}
