//! Ping and traceroute to VIPs, and to addresses of the node.
#![allow(clippy::unwrap_used, reason = "a failed assumption is a failed test")]

use std::{
    net::{IpAddr, SocketAddr},
    time::Instant,
};

use lb_common::{limit, stat::Stat};
use lb_tests::{
    cluster::{Cluster, NODE_PORT, near_and_far, near_and_far_vips, web},
    icmp::{Fate, Kind, flood, ping, send_hops},
    manifests::Service,
    observe::received_bytes,
    skip,
    topo::{EXTERNAL_IP, LOAD_BALANCER_IP, Routing, Topology},
    traffic::{IpFamily, Target, requests},
    wait,
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

#[test]
fn a_flood_of_pings_is_answered_up_to_the_limit_and_silences_nothing_else() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    for mode in MODES {
        let cluster = start(mode, |topology| vec![web(topology)]);
        let (client, maps) = (&cluster.topology.client, cluster.agents[0].maps().unwrap());
        let count = |wanted: Stat| {
            let stats = maps.stats().unwrap();
            stats.into_iter().find(|(stat, _)| *stat == wanted).map_or(0, |(_, count)| count)
        };
        for vip in EXTERNAL_IP.both() {
            let before = [count(Stat::EchoAnswered), count(Stat::AnswerSuppressed)];
            // Every CPU has a bucket of its own.
            let cpus = std::thread::available_parallelism().unwrap().get() as u64;
            let burst = u64::from(limit::ANSWERS_PER_TICK * limit::FULL_TICKS);
            let sent = 4 * burst * cpus;
            let start = Instant::now();
            flood(client, vip, sent).unwrap();
            let mut suppressed = 0;
            wait::until_true("pings are held back", || {
                suppressed = count(Stat::AnswerSuppressed) - before[1];
                suppressed > 0
            })
            .unwrap();
            let answered = count(Stat::EchoAnswered) - before[0];
            // A tick is a little more than 16 ms.
            let gained = (start.elapsed().as_millis() as u64 / 16 + 1) * u64::from(limit::ANSWERS_PER_TICK);
            assert!(
                answered <= cpus * (burst + gained),
                "{mode} {vip}: {answered} of {sent} pings were answered"
            );
            let refused = requests(client, Target::tcp(vip, 81), 4, 2);
            assert_eq!(refused.failed.get("connection refused"), Some(&4), "{mode} {vip}: {refused:?}");
            wait::until_true("pings are answered again", || ping(client, vip, 56).is_ok()).unwrap();
        }
    }
}
