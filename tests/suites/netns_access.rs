//! Who is let in, by which family, and at which address: `loadBalancerSourceRanges`, `ipFamilies`, and addresses that the
//! node itself has.
#![allow(clippy::unwrap_used, reason = "a failed assumption is a failed test")]

use std::{
    io::Read,
    io::Write,
    net::{SocketAddr, TcpListener, TcpStream},
    time::Duration,
};

use lb_tests::{
    cluster::{Cluster, NODE_PORT, web},
    dual_stack::DualStack,
    icmp::ping,
    manifests::Service,
    netns::Namespace,
    skip,
    topo::{CLIENT, EXTERNAL_IP, LOAD_BALANCER_IP, Routing, Topology},
    traffic::{IpFamily, Target, is_served, requests},
    wait,
};

/// Source ranges that hold nothing but one client.
fn only(client: DualStack) -> Vec<String> {
    vec![format!("{}/32", client.v4), format!("{}/128", client.v6)]
}

#[test]
fn source_ranges_guard_the_load_balancer_address_and_nothing_else() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    let guarded = |topology: &Topology, ranges| Service { source_ranges: ranges, ..web(topology) };
    let cluster =
        Cluster::start(Routing::Native, 1, |topology| vec![guarded(topology, only(CLIENT))]).unwrap();
    let topology = &cluster.topology;
    let stranger = topology.more_clients(1).unwrap()[0];
    let node = topology.node_a().addresses;
    let served = |client: DualStack, address: DualStack, port: u16| {
        IpFamily::ALL
            .map(|family| is_served(&topology.client, client.of(family), (address.of(family), port).into()))
    };
    assert_eq!(served(CLIENT, LOAD_BALANCER_IP, 80), [true; 2]);
    assert_eq!(served(stranger, LOAD_BALANCER_IP, 80), [false; 2]);
    for (address, port) in [(EXTERNAL_IP, 80), (node, NODE_PORT)] {
        assert_eq!(served(stranger, address, port), [true; 2], "{address:?} is open to all");
    }

    cluster.manifests.apply(&guarded(topology, only(stranger))).unwrap();
    wait::until_true("the stranger is let in", || served(stranger, LOAD_BALANCER_IP, 80) == [true; 2])
        .unwrap();
    assert_eq!(served(CLIENT, LOAD_BALANCER_IP, 80), [false; 2], "the ranges have changed");

    cluster.manifests.apply(&web(topology)).unwrap();
    wait::until_true("without ranges all are let in", || served(CLIENT, LOAD_BALANCER_IP, 80) == [true; 2])
        .unwrap();
    assert_eq!(served(stranger, LOAD_BALANCER_IP, 80), [true; 2]);
}

#[test]
fn a_single_stack_service_serves_its_own_family_and_a_dual_stack_one_both() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    let cluster = Cluster::start(Routing::Native, 1, |topology| {
        let ports = [("only-ipv4", EXTERNAL_IP, 30_004), ("only-ipv6", LOAD_BALANCER_IP, 30_006)];
        let service =
            |(name, address, port)| Service::new(name, topology.pods()).external_ip(address).node_port(port);
        let [v4, v6] = ports.map(service);
        vec![
            v4.only(IpFamily::Ipv4),
            v6.only(IpFamily::Ipv6),
            Service::new("both", topology.pods()).node_port(30_046),
        ]
    })
    .unwrap();
    let topology = &cluster.topology;
    let node = topology.node_a().addresses;
    for (address, port, expected) in [
        (EXTERNAL_IP, 80, [true, false]),
        (node, 30_004, [true, false]),
        (LOAD_BALANCER_IP, 80, [false, true]),
        (node, 30_006, [false, true]),
        (node, 30_046, [true, true]),
    ] {
        let served = IpFamily::ALL
            .map(|family| is_served(&topology.client, CLIENT.of(family), (address.of(family), port).into()));
        assert_eq!(served, expected, "{address:?} port {port}");
    }
}

/// Reads the banner of whoever listens.
fn banner(from: &Namespace, address: SocketAddr) -> String {
    let stream = from.enter(|| TcpStream::connect_timeout(&address, Duration::from_secs(5)));
    let mut banner = String::new();
    stream.unwrap_or_else(|error| panic!("{address}: {error}")).read_to_string(&mut banner).unwrap();
    banner
}

#[test]
fn an_external_ip_that_is_an_address_of_the_node_is_refused_and_the_services_of_the_node_stay() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    let topology = Topology::new(Routing::Native, 1).unwrap();
    let node = topology.node_a();
    node.namespace
        .ip(&format!("addr add {}/32 dev lo\naddr add {}/128 dev lo nodad\n", EXTERNAL_IP.v4, EXTERNAL_IP.v6))
        .unwrap();
    let listeners = EXTERNAL_IP.both().map(|address| {
        let listener = node.namespace.enter(|| TcpListener::bind((address, 22))).unwrap();
        (address, listener)
    });
    let cluster = Cluster::start_on(topology, &[], |topology| vec![web(topology)]).unwrap();
    let topology = &cluster.topology;
    let services = cluster.agents[0].sluice(&["get", "services", "-o", "wide"]).unwrap();
    for (address, listener) in &listeners {
        assert!(services.contains(&format!("external IP {address}")), "{services}");
        std::thread::scope(|scope| {
            scope.spawn(|| listener.accept().unwrap().0.write_all(b"SSH-2.0-test\r\n").unwrap());
            assert_eq!(banner(&topology.client, (*address, 22).into()), "SSH-2.0-test\r\n");
        });
        ping(&topology.client, *address, 56).unwrap();
    }
    // Nothing but that address is refused.
    for (address, port) in [(LOAD_BALANCER_IP, 80), (topology.node_a().addresses, NODE_PORT)] {
        for target in address.both().map(|address| Target::tcp(address, port)) {
            let tally = requests(&topology.client, target, 20, 4);
            assert_eq!((tally.failures(), tally.answered.len()), (0, 2), "{target}: {tally:?}");
        }
    }
}
