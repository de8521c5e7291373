//! `sessionAffinity: ClientIP`: a client stays with its endpoint.
#![allow(clippy::unwrap_used, reason = "a failed assumption is a failed test")]

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use lb_tests::{
    cluster::{Cluster, NODE_PORT},
    manifests::Service,
    skip,
    topo::{EXTERNAL_IP, Routing, Topology},
    traffic::{IpFamily, Session, Target},
    wait,
};

fn service(topology: &Topology, seconds: u32) -> Service {
    Service::new("web", topology.pods()).external_ip(EXTERNAL_IP).node_port(NODE_PORT).affinity(seconds)
}

fn few_pods(topology: &Topology, seconds: u32) -> Service {
    service(topology, seconds).without("pod-a2").without("pod-b2")
}

/// A cluster with a Service on two of four pods, and clients: every one of them in both families.
fn start(seconds: u32) -> (Cluster, Vec<IpAddr>) {
    let cluster = Cluster::start(Routing::Native, 2, |topology| vec![few_pods(topology, seconds)]).unwrap();
    let clients = cluster.topology.more_clients(12).unwrap();
    (cluster, clients.into_iter().flat_map(|client| client.both()).collect())
}

/// The pod that answers a new connection of a client.
fn pod_of(cluster: &Cluster, client: IpAddr) -> String {
    let target = Target::tcp(EXTERNAL_IP.of(IpFamily::of(client)), 80);
    let session = Session::open_from(&cluster.topology.client, SocketAddr::new(client, 0), target);
    session.and_then(|mut session| session.ask()).unwrap_or_else(|error| panic!("{client}: {error}")).pod
}

fn pods_of(cluster: &Cluster, clients: &[IpAddr]) -> BTreeMap<IpAddr, String> {
    clients.iter().map(|client| (*client, pod_of(cluster, *client))).collect()
}

#[test]
fn a_client_stays_with_its_pod_from_any_port_by_any_node_and_when_pods_are_added() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    let (cluster, clients) = start(10_800);
    let first = pods_of(&cluster, &clients);
    assert_eq!(first.values().collect::<BTreeSet<_>>().len(), 2, "clients spread: {first:?}");
    for _ in 0..5 {
        assert_eq!(pods_of(&cluster, &clients), first);
    }
    // Neither has to be told by the other: the ring knows the client's address.
    cluster.topology.route_vips_to(cluster.topology.node_b()).unwrap();
    assert_eq!(pods_of(&cluster, &clients), first, "by the other node");
    cluster.topology.route_vips_to(cluster.topology.node_a()).unwrap();

    cluster.apply(&service(&cluster.topology, 10_800)).unwrap();
    assert_eq!(pods_of(&cluster, &clients), first, "pods were added");
}

#[test]
fn the_end_of_a_pod_ends_its_clients_stay() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    let (cluster, clients) = start(10_800);
    let first = pods_of(&cluster, &clients);
    let all = service(&cluster.topology, 10_800);
    for (leaving, apply) in
        [("pod-a1", all.clone().terminating("pod-a1")), ("pod-a1", all.clone().without("pod-a1"))]
    {
        cluster.apply(&apply).unwrap();
        for (client, pod) in pods_of(&cluster, &clients) {
            assert_ne!(pod, leaving, "{client}");
            if first[&client] != leaving {
                assert_eq!(pod, first[&client], "{client} has nothing to do with {leaving}");
            }
        }
    }
    let moved = pods_of(&cluster, &clients);
    cluster.apply(&all).unwrap();
    assert_eq!(pods_of(&cluster, &clients), moved, "the pod came back; its clients have found another");
}

#[test]
fn a_stay_ends_when_its_time_is_over_and_use_prolongs_it() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    const TIMEOUT: Duration = Duration::from_secs(2);
    let (cluster, clients) = start(TIMEOUT.as_secs() as u32);
    let first = pods_of(&cluster, &clients);
    cluster.apply(&service(&cluster.topology, TIMEOUT.as_secs() as u32)).unwrap();
    let start = Instant::now();
    while start.elapsed() < TIMEOUT * 2 {
        assert_eq!(pods_of(&cluster, &clients), first, "in use all the time");
    }
    let idle = Instant::now();
    wait::until_true("nobody used the Service for longer than its timeout", || {
        idle.elapsed() > TIMEOUT + Duration::from_millis(500)
    })
    .unwrap();
    let late = pods_of(&cluster, &clients);
    let moved = late.iter().filter(|(client, pod)| first[client] != **pod).count();
    assert!(moved > 0 && late.values().collect::<BTreeSet<_>>().len() > 2, "the ring decides anew: {late:?}");
}
