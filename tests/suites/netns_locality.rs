//! Endpoints near the client's node: `externalTrafficPolicy: Local` with its health check, and hints.
#![allow(clippy::unwrap_used, reason = "a failed assumption is a failed test")]

use std::{
    collections::BTreeSet,
    io::{self, ErrorKind},
    net::{IpAddr, SocketAddr, UdpSocket},
    time::Duration,
};

use lb_tests::{
    cluster::{Cluster, NODE_PORT, web},
    manifests::Service,
    skip,
    topo::{CLIENT, EXTERNAL_IP, Node, Routing, Topology},
    traffic::{IpFamily, Page, Session, Target, get, requests},
    wait,
};

const HEALTH_CHECK_PORT: u16 = 32_000;

fn guarded(topology: &Topology) -> Service {
    Service { health_check_node_port: Some(HEALTH_CHECK_PORT), ..web(topology).local() }
}

/// What an external load balancer is told about a node, in both families.
fn health(topology: &Topology, node: &Node) -> [Page; 2] {
    IpFamily::ALL.map(|family| {
        let address = SocketAddr::new(node.addresses.of(family), HEALTH_CHECK_PORT);
        get(&topology.client, 0, address).unwrap_or_else(|error| panic!("{address}: {error}"))
    })
}

/// A UDP client that keeps its port, and is impatient.
fn constant_port(topology: &Topology, address: IpAddr) -> UdpSocket {
    let session = Session::open_from_port(&topology.client, 40_000, Target::udp(address, 80)).unwrap();
    let Session::Udp(socket) = session else { panic!("asked for UDP") };
    socket.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    socket
}

fn says(phone: &UdpSocket) -> io::Result<usize> {
    phone.send(b"who")?;
    phone.recv(&mut [0; 256])
}

fn becomes(topology: &Topology, node: &Node, status: u16) {
    let what = format!("the health check of {} answers {status}", node.name);
    wait::until_true(&what, || health(topology, node).iter().all(|page| page.status == status)).unwrap();
}

#[test]
fn the_health_check_of_a_node_follows_its_own_endpoints() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    let cluster = Cluster::start(Routing::Native, 2, |topology| vec![guarded(topology)]).unwrap();
    let topology = &cluster.topology;
    let [a, b] = &topology.nodes;
    for page in [health(topology, a), health(topology, b)].concat() {
        assert_eq!(page.status, 200, "{page:?}");
        assert!(page.body.contains("\"localEndpoints\":2"), "{page:?}");
        assert!(page.head.to_lowercase().contains("x-load-balancing-endpoint-weight: 2"), "{page:?}");
    }
    cluster.apply(&guarded(topology).without("pod-a1").without("pod-a2")).unwrap();
    becomes(topology, a, 503);
    assert_eq!(health(topology, b)[0].status, 200);
    let phones = EXTERNAL_IP.both().map(|address| constant_port(topology, address));
    for (phone, error) in phones.iter().map(|phone| (phone, says(phone).unwrap_err())) {
        assert_eq!(error.kind(), ErrorKind::WouldBlock, "{phone:?} meets silence");
    }

    // Terminating pods still serve who comes, but nobody shall come any more.
    let leaving = guarded(topology).terminating("pod-b1").terminating("pod-b2");
    cluster.apply(&leaving).unwrap();
    becomes(topology, a, 200);
    becomes(topology, b, 503);
    for phone in &phones {
        says(phone).unwrap_or_else(|error| panic!("{phone:?}, from the port that met silence: {error}"));
    }
    topology.route_vips_to(b).unwrap();
    for target in leaving.targets(b) {
        let tally = requests(&topology.client, target, 20, 4);
        let seen: BTreeSet<_> = tally.seen.iter().map(|(_, client)| *client).collect();
        assert_eq!((tally.failures(), tally.answered.len()), (0, 2), "{target}: {tally:?}");
        assert_eq!(seen, [CLIENT.of(target.family())].into(), "{target}");
    }
}

/// Pods that answer at the external IP by way of a node, in both families.
fn answering(topology: &Topology, node: &Node) -> [BTreeSet<String>; 2] {
    topology.route_vips_to(node).unwrap();
    EXTERNAL_IP.both().map(|address| {
        let tally = requests(&topology.client, Target::tcp(address, 80), 60, 8);
        assert_eq!(tally.failures(), 0, "{address} by {}: {tally:?}", node.name);
        tally.answered.into_keys().collect()
    })
}

fn own_pods(node: &Node) -> BTreeSet<String> {
    node.pods.iter().map(|pod| pod.name.clone()).collect()
}

#[test]
fn hints_keep_requests_on_their_node_or_in_its_zone_while_every_endpoint_has_one() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    let hinted = |topology: &Topology, hint: fn(&mut lb_tests::manifests::Endpoint)| {
        let mut service = Service::new("web", topology.pods()).external_ip(EXTERNAL_IP).node_port(NODE_PORT);
        service.endpoints.iter_mut().for_each(hint);
        service
    };
    let same_node =
        |topology: &Topology| hinted(topology, |endpoint| endpoint.for_nodes = vec![endpoint.node.clone()]);
    let same_zone = |topology: &Topology| {
        hinted(topology, |endpoint| endpoint.for_zones = vec![endpoint.node.replace("node", "zone")])
    };
    let cluster = Cluster::start(Routing::Native, 2, |topology| vec![same_node(topology)]).unwrap();
    let topology = &cluster.topology;
    let everyone: BTreeSet<_> = topology.pods().map(|pod| pod.name.clone()).collect();
    for service in [same_node(topology), same_zone(topology)] {
        cluster.manifests.apply(&service).unwrap();
        for node in &topology.nodes {
            wait::until_true("hints are followed", || {
                answering(topology, node) == [own_pods(node), own_pods(node)]
            })
            .unwrap();
        }
        let mut torn = service;
        torn.endpoints[0].for_nodes.clear();
        torn.endpoints[0].for_zones.clear();
        cluster.apply(&torn).unwrap();
        for node in &topology.nodes {
            assert_eq!(answering(topology, node), [everyone.clone(), everyone.clone()], "by {}", node.name);
        }
    }
}
