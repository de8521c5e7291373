//! Ping and traceroute to VIPs, and to addresses of the node.
#![allow(clippy::unwrap_used, reason = "a failed assumption is a failed test")]

use std::net::{IpAddr, SocketAddr};

use lb_tests::{
    cluster::{Cluster, NODE_PORT, near_and_far, near_and_far_vips, web},
    icmp::{Fate, Kind, ping, send_hops},
    manifests::Service,
    observe::received_bytes,
    skip,
    topo::{EXTERNAL_IP, LOAD_BALANCER_IP, Routing, Topology},
    traffic::IpFamily,
};

/// Ways in: XDP, and tcx alone.
const MODES: [&str; 2] = ["native", "tc"];

fn start(mode: &str, services: fn(&Topology) -> Vec<Service>) -> Cluster {
    let topology = Topology::new(Routing::Native, 1).unwrap();
    Cluster::start_on(topology, &["--mode", mode], services).unwrap()
}

fn with_and_without_endpoints(topology: &Topology) -> Vec<Service> {
    let web = Service::new("web", topology.pods()).external_ip(EXTERNAL_IP).node_port(NODE_PORT);
    vec![web, Service::new("empty", []).load_balancer_ip(LOAD_BALANCER_IP)]
}

#[test]
fn vips_with_and_without_endpoints_and_nodes_answer_ping() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    for mode in MODES {
        let cluster = start(mode, with_and_without_endpoints);
        let node = cluster.topology.node_a().addresses;
        for address in [EXTERNAL_IP, LOAD_BALANCER_IP, node].iter().flat_map(|address| address.both()) {
            for length in [0, 56, 1400] {
                let answer = ping(&cluster.topology.client, address, length);
                answer.unwrap_or_else(|error| panic!("{mode}: {length} bytes to {address}: {error}"));
            }
        }
    }
}

/// What a client learns from a datagram of few hops: the router is the first, the node that has the VIP the second.
fn fate(cluster: &Cluster, address: impl Into<SocketAddr>, hops: u8) -> Fate {
    let address = address.into();
    send_hops(&cluster.topology.client, address, hops)
        .unwrap_or_else(|error| panic!("{address} after {hops} hops: {error}"))
}

#[test]
fn hops_that_run_out_are_reported_with_an_address_that_the_client_knows() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    for mode in MODES {
        let cluster = start(mode, near_and_far);
        for (vip, pod) in near_and_far_vips() {
            let exceeded = Kind::time_exceeded(IpFamily::of(vip));
            let node: IpAddr = cluster.topology.node_a().addresses.of(IpFamily::of(vip));
            let known = |fate: &Fate, hops: u8| {
                let Fate::Error(kind, from) = *fate else { panic!("{mode}, {vip} in {hops} hops: {fate:?}") };
                assert_eq!(kind, exceeded, "{mode}, {vip} in {hops} hops");
                assert!(from == vip || from == node, "{mode}, {vip} in {hops} hops: {from}");
            };
            known(&fate(&cluster, (vip, 80), 2), 2);
            if pod == "pod-b1" {
                known(&fate(&cluster, (vip, 80), 3), 3);
                assert_eq!(fate(&cluster, (vip, 80), 4), Fate::Answered);
            } else {
                assert_eq!(fate(&cluster, (vip, 80), 3), Fate::Answered);
            }
        }
    }
}

#[test]
fn an_unknown_port_is_unreachable_for_any_number_of_hops_and_nothing_goes_in_circles() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    for mode in MODES {
        let cluster = start(mode, |topology| vec![web(topology)]);
        let router = &cluster.topology.router;
        for vip in EXTERNAL_IP.both() {
            let unreachable = Kind::port_unreachable(IpFamily::of(vip));
            let before = received_bytes(router, "node-a").unwrap();
            for hops in [2, 3, 64, 255] {
                assert_eq!(fate(&cluster, (vip, 81), hops), Fate::Error(unreachable, vip), "{mode}");
            }
            let sent = received_bytes(router, "node-a").unwrap() - before;
            assert!(sent < 2000, "{mode}: four errors for {vip} took {sent} bytes");
        }
    }
}
