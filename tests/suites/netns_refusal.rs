//! What is not served is refused at once, and what is not ours is left alone.
#![allow(clippy::unwrap_used, reason = "a failed assumption is a failed test")]

use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    time::{Duration, Instant},
};

use lb_tests::{
    cluster::{Cluster, NODE_PORT, web},
    dual_stack::DualStack,
    manifests::Service,
    skip,
    topo::{EXTERNAL_IP, LOAD_BALANCER_IP, Routing, Topology},
    traffic::{IpFamily, Session, Target, ask, requests},
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
    let empty = || Service::new("empty", []).node_port(NODE_PORT).external_ip(EXTERNAL_IP);
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
    let vips = IpFamily::ALL
        .into_iter()
        .flat_map(|family| [EXTERNAL_IP, LOAD_BALANCER_IP].map(|vip| vip.of(family)));
    for vip in vips {
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
    let topology = &cluster.topology;
    let connect = |target: SocketAddr| {
        topology.client.enter(|| TcpStream::connect_timeout(&target, Duration::from_millis(500)))
    };
    for family in IpFamily::ALL {
        topology.route_vips_to(topology.node_a()).unwrap();
        let vip = EXTERNAL_IP.of(family);
        assert_eq!(connect((vip, 80).into()).unwrap_err().kind(), ErrorKind::TimedOut, "{family}");
        topology.route_vips_to(topology.node_b()).unwrap();
        assert_eq!(ask(&topology.client, Target::tcp(vip, 80)).unwrap().pod, "pod-b1", "{family}");
    }
}

#[test]
fn a_listener_on_the_node_itself_is_reached_as_before() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    let cluster = Cluster::web(Routing::Native, 1).unwrap();
    let node = cluster.topology.node_a();
    for family in IpFamily::ALL {
        let address = node.addresses.of(family);
        let listener = node.namespace.enter(|| TcpListener::bind((address, 22))).unwrap();
        let patience = Duration::from_secs(5);
        let client = &cluster.topology.client;
        let mut client =
            client.enter(|| TcpStream::connect_timeout(&(address, 22).into(), patience)).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        server.write_all(b"SSH-2.0-test\r\n").unwrap();
        drop(server);
        let mut banner = String::new();
        client.read_to_string(&mut banner).unwrap();
        assert_eq!(banner, "SSH-2.0-test\r\n");
        // A port of the node without a listener is the node's to refuse.
        assert_refused_at_once(&cluster, Target::tcp(address, 23));
        assert_refused_at_once(&cluster, Target::udp(address, 23));
    }
}

#[test]
fn an_external_ip_that_policy_forbids_is_not_served() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    // Outside the ranges that the agents were allowed.
    const FORBIDDEN: DualStack = DualStack::new([198, 18, 0, 1], [0x2001, 0xdb8, 0xe, 0, 0, 0, 0, 1]);
    let cluster =
        Cluster::start(Routing::Native, 1, |topology| vec![web(topology).external_ip(FORBIDDEN)]).unwrap();
    let topology = &cluster.topology;
    for family in IpFamily::ALL {
        let (vip, node) = (FORBIDDEN.of(family), topology.node_a().addresses.of(family));
        topology.router.ip(&format!("route add {vip} via {node}")).unwrap();
        // The node routes it back to the router, which routes it to the node, until the TTL ends.
        assert!(ask(&topology.client, Target::tcp(vip, 80)).is_err());
        let tally = requests(&topology.client, Target::tcp(EXTERNAL_IP.of(family), 80), 10, 2);
        assert_eq!(tally.failures(), 0, "the rest of the Service is served: {tally:?}");
    }
}

#[test]
fn a_service_that_is_removed_is_refused() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    let served = |topology: &Topology| Service { load_balancer_ips: Vec::new(), ..web(topology) };
    let cluster = Cluster::start(Routing::Native, 1, |topology| {
        let other = Service::new("other", topology.pods()).external_ip(LOAD_BALANCER_IP);
        vec![served(topology), other]
    })
    .unwrap();
    let topology = &cluster.topology;
    let targets = IpFamily::ALL.map(|family| Target::tcp(topology.node_a().addresses.of(family), NODE_PORT));
    let mut open = targets.map(|target| Session::open(&topology.client, target).unwrap());
    open.iter_mut().for_each(|session| drop(session.ask().unwrap()));
    cluster.delete(&served(topology)).unwrap();
    targets.into_iter().for_each(|target| assert_refused_at_once(&cluster, target));
    for family in IpFamily::ALL {
        let other = Target::tcp(LOAD_BALANCER_IP.of(family), 80);
        assert_eq!(requests(&topology.client, other, 10, 2).failures(), 0);
    }
}
