//! What is not served is refused at once, and what is not ours is left alone.
#![allow(clippy::unwrap_used, reason = "a failed assumption is a failed test")]

use std::{
    io::{ErrorKind, Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    time::{Duration, Instant},
};

use lb_tests::{
    cluster::{Cluster, NODE_PORT, web},
    manifests::Service,
    skip,
    topo::{EXTERNAL_IP, LOAD_BALANCER_IP, Routing},
    traffic::{Session, Target, ask, requests},
};

/// Well below TCP's first retransmission (1 s, RFC 6298 §2.1): the first packet was answered.
const AT_ONCE: Duration = Duration::from_millis(900);

fn assert_refused_at_once(cluster: &Cluster, target: Target) {
    let start = Instant::now();
    let error = ask(&cluster.topology.client, target).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{target}: {error}");
    assert!(start.elapsed() < AT_ONCE, "{target}: refused after {:?}", start.elapsed());
}

#[test]
fn a_service_without_endpoints_refuses_tcp_and_udp_at_once() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    let empty = || {
        Service { endpoints: Vec::new(), ..Service::new("empty", []) }
            .node_port(NODE_PORT)
            .external_ip(EXTERNAL_IP)
    };
    let cluster = Cluster::start(Routing::Native, 0, |_| vec![empty()]).unwrap();
    for node in &cluster.topology.nodes {
        cluster.topology.route_vips_to(node).unwrap();
        for target in empty().targets(node) {
            assert_refused_at_once(&cluster, target);
        }
    }
}

#[test]
fn an_unknown_port_of_a_vip_is_refused_and_does_not_loop() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    let cluster = Cluster::web(Routing::Native, 1).unwrap();
    for vip in [EXTERNAL_IP, LOAD_BALANCER_IP] {
        assert_refused_at_once(&cluster, Target::tcp(vip, 81));
        assert_refused_at_once(&cluster, Target::udp(vip, 81));
    }
}

#[test]
fn the_local_policy_without_local_endpoints_stays_silent() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    let cluster = Cluster::start(Routing::Native, 1, |topology| {
        vec![Service::new("web", &topology.node_b().pods).external_ip(EXTERNAL_IP).local()]
    })
    .unwrap();
    let client = &cluster.topology.client;
    let silent = |target: std::net::SocketAddr| {
        client.enter(|| TcpStream::connect_timeout(&target, Duration::from_millis(500))).unwrap_err().kind()
    };
    assert_eq!(silent((EXTERNAL_IP, 80).into()), ErrorKind::TimedOut);
    cluster.topology.route_vips_to(cluster.topology.node_b()).unwrap();
    assert_eq!(ask(client, Target::tcp(EXTERNAL_IP, 80)).unwrap().pod, "pod-b1");
}

#[test]
fn a_listener_on_the_node_itself_is_reached_as_before() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    let cluster = Cluster::web(Routing::Native, 1).unwrap();
    let node = cluster.topology.node_a();
    let listener = node.namespace.enter(|| TcpListener::bind((Ipv4Addr::UNSPECIFIED, 22))).unwrap();
    let mut client = cluster
        .topology
        .client
        .enter(|| TcpStream::connect_timeout(&(node.address, 22).into(), Duration::from_secs(5)))
        .unwrap();
    let (mut server, _) = listener.accept().unwrap();
    server.write_all(b"SSH-2.0-test\r\n").unwrap();
    drop(server);
    let mut banner = String::new();
    client.read_to_string(&mut banner).unwrap();
    assert_eq!(banner, "SSH-2.0-test\r\n");
    // A port of the node without a listener is the node's to refuse.
    assert_refused_at_once(&cluster, Target::tcp(node.address, 23));
    assert_refused_at_once(&cluster, Target::udp(node.address, 23));
}

#[test]
fn an_external_ip_that_policy_forbids_is_not_served() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    // Outside the CIDR that the agents were allowed.
    let forbidden = Ipv4Addr::new(198, 18, 0, 1);
    let cluster =
        Cluster::start(Routing::Native, 1, |topology| vec![web(topology).external_ip(forbidden)]).unwrap();
    let topology = &cluster.topology;
    topology.router.ip(&format!("route add {forbidden} via {}", topology.node_a().address)).unwrap();
    // The node routes it back to the router, which routes it to the node, until the TTL ends.
    assert!(ask(&topology.client, Target::tcp(forbidden, 80)).is_err());
    let tally = requests(&topology.client, Target::tcp(EXTERNAL_IP, 80), 10, 2);
    assert_eq!(tally.failures(), 0, "the rest of the Service is served: {tally:?}");
}

#[test]
fn a_service_that_is_removed_is_refused() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    let cluster = Cluster::start(Routing::Native, 1, |topology| {
        let other = Service::new("other", topology.pods()).external_ip(LOAD_BALANCER_IP);
        vec![Service::new("web", topology.pods()).external_ip(EXTERNAL_IP).node_port(NODE_PORT), other]
    })
    .unwrap();
    let topology = &cluster.topology;
    let target = Target::tcp(topology.node_a().address, NODE_PORT);
    let mut open = Session::open(&topology.client, target).unwrap();
    open.ask().unwrap();
    cluster.delete(&Service::new("web", []).external_ip(EXTERNAL_IP).node_port(NODE_PORT)).unwrap();
    assert_refused_at_once(&cluster, target);
    assert_eq!(requests(&topology.client, Target::tcp(LOAD_BALANCER_IP, 80), 10, 2).failures(), 0);
}
