//! Flows that are alike: the same client port to several VIPs, to several nodes, again and again.
#![allow(clippy::unwrap_used, reason = "a failed assumption is a failed test")]

use std::{
    collections::BTreeSet,
    io::ErrorKind,
    net::{Ipv4Addr, SocketAddrV4},
};

use lb_common::{drop_reason::DropReason, stat::Stat};
use lb_tests::{
    agent::Agent,
    cluster::{Cluster, NODE_PORT, web},
    manifests::Service,
    skip,
    topo::{CLIENT, EXTERNAL_IP, LOAD_BALANCER_IP, Routing, Topology},
    traffic::{Answer, Protocol, Session, Target, get, requests},
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
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            let targets: Vec<_> = all.iter().copied().filter(|target| target.protocol == protocol).collect();
            let answers = asked_in_turns(&cluster, 40_000, &targets);
            let ports: BTreeSet<_> = answers.iter().map(|answer| answer.client.port()).collect();
            assert_eq!(ports.len(), targets.len(), "{pod} must be able to tell them apart: {answers:?}");
            assert!(answers.iter().all(|answer| answer.pod == pod), "{answers:?}");
            if pod == "pod-a1" {
                assert!(answers.iter().all(|answer| answer.client.ip() == CLIENT), "{answers:?}");
            }
        }
        if pod == "pod-a1" {
            assert_eq!(count(&cluster.agents[0], Stat::SourcePortCollision), 4, "two each of TCP and UDP");
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
    let [a, b] = &cluster.topology.nodes;
    for port in 40_000..40_020 {
        asked_in_turns(
            &cluster,
            port,
            &[Target::tcp(a.address, NODE_PORT), Target::tcp(b.address, NODE_PORT)],
        );
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
    for port in 40_000..40_020 {
        // The pod closes first: its side waits in TIME_WAIT while the client's port is free again, once the pod has
        // acknowledged the client's FIN.
        let page = || {
            wait::until("the client's kernel lets go of the port", || {
                match get(client, port, SocketAddrV4::new(EXTERNAL_IP, 80)) {
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
    let tally = requests(&cluster.topology.client, Target::tcp(EXTERNAL_IP, 80), 2000, 64);
    assert_eq!(tally.failures(), 0, "{tally:?}");
    assert!(
        tally.answered.values().all(|count| (400..600).contains(count)),
        "2000 over four pods: {tally:?}"
    );
    let udp = requests(&cluster.topology.client, Target::udp(EXTERNAL_IP, 80), 400, 16);
    assert_eq!(udp.failures(), 0, "{udp:?}");
    assert_eq!(drops(&cluster.agents[0]), []);
}

#[test]
fn both_nodes_choose_the_same_pod_for_a_flow() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    let cluster = Cluster::web(Routing::Native, 2).unwrap();
    let topology = &cluster.topology;
    let chosen = |vip: Ipv4Addr| -> Vec<String> {
        let ask = |port| {
            Session::open_from_port(&topology.client, port, Target::udp(vip, 80)).unwrap().ask().unwrap().pod
        };
        (41_000..41_030).map(ask).collect()
    };
    let by_a = chosen(EXTERNAL_IP);
    topology.route_vips_to(topology.node_b()).unwrap();
    assert_eq!(by_a, chosen(EXTERNAL_IP));
    let service = web(topology);
    assert_eq!(by_a.iter().collect::<BTreeSet<_>>().len(), service.endpoints.len());
}
