//! Unusual ways: in by one uplink and out by another, and out of a node and back to it.
#![allow(clippy::unwrap_used, reason = "a failed assumption is a failed test")]

use std::net::IpAddr;

use lb_tests::{
    cluster::{Cluster, near_and_far, near_and_far_vips, web},
    load::{Kind, Load},
    manifests::Service,
    observe::received_bytes,
    skip,
    topo::{CLIENT, EXTERNAL_IP, Layout, Routing, Topology},
    traffic::{IpFamily, Protocol, Target, is_served, requests},
    wait,
};

const TRANSFERS: [(Kind, usize); 4] =
    [(Kind::Connections, 2), (Kind::Exchange, 2), (Kind::Download, 4), (Kind::Upload, 2)];

#[test]
fn replies_leave_by_the_uplink_that_the_route_back_takes() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    for mode in ["native", "tc"] {
        let topology = Topology::with(Layout { asymmetric: true, ..Layout::default() }).unwrap();
        let arguments = ["--mode", mode, "--interface", "eth0,eth1"];
        let cluster = Cluster::start_on(topology, &arguments, near_and_far).unwrap();
        let topology = &cluster.topology;
        for (vip, pod) in near_and_far_vips() {
            let [first, second] =
                ["node-a", "node-a-second"].map(|port| received_bytes(&topology.router, port));
            let (first, second) = (first.unwrap(), second.unwrap());
            let load = Load::start(&topology.client, Target::tcp(vip, 80), &TRANSFERS).unwrap();
            load.advance(50).unwrap();
            let moved = load.progress().bytes;
            load.finish().unwrap();
            let udp = requests(&topology.client, Target::udp(vip, 80), 20, 4);
            assert_eq!(udp.answered.get(pod), Some(&20), "{mode} {vip}: {udp:?}");
            let by_second = received_bytes(&topology.router, "node-a-second").unwrap() - second;
            assert!(by_second > moved / 2, "{mode} {vip}: {by_second} of {moved} bytes");
            if pod == "pod-a1" {
                let by_first = received_bytes(&topology.router, "node-a").unwrap() - first;
                assert!(by_first < 20_000, "{mode} {vip}: {by_first} bytes went back where they came from");
            }
        }
    }
}

/// Requests and transfers from a pod to a VIP.
fn reaches(topology: &Topology, pod: &str, vip: IpAddr, expected: &str) {
    let from = topology.pods().find(|other| other.name == pod).unwrap().namespace();
    for protocol in [Protocol::Tcp, Protocol::Udp] {
        let target = Target { protocol, address: (vip, 80).into() };
        let tally = requests(from, target, 20, 4);
        assert_eq!(tally.answered.get(expected), Some(&20), "{pod} to {target}: {tally:?}");
    }
    let load = Load::start(from, Target::tcp(vip, 80), &TRANSFERS).unwrap();
    load.advance(20).unwrap();
    load.finish().unwrap_or_else(|error| panic!("{pod} to {vip}: {error:#}"));
}

#[test]
fn a_pod_reaches_external_ips_whose_packets_leave_the_node_and_come_back() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    for mode in ["native", "tc"] {
        let topology = Topology::new(Routing::Native, 2).unwrap();
        // Nothing masquerades: the router knows where pods are.
        topology.route_pods().unwrap();
        let cluster = Cluster::start_on(topology, &["--mode", mode], near_and_far).unwrap();
        let topology = &cluster.topology;
        for (vip, endpoint) in near_and_far_vips() {
            // Itself, its neighbour, the other node's pod, and a pod of the other node.
            for pod in ["pod-a1", "pod-a2", "pod-b1", "pod-b2"] {
                println!("{mode}: {pod} to {vip}");
                reaches(topology, pod, vip, endpoint);
            }
        }
    }
}

#[test]
fn a_pod_of_its_own_service_is_balanced_like_any_client() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    let topology = Topology::new(Routing::Native, 2).unwrap();
    topology.route_pods().unwrap();
    let cluster = Cluster::start_on(topology, &[], |topology| vec![web(topology)]).unwrap();
    let topology = &cluster.topology;
    for (pod, family) in topology.pods().flat_map(|pod| IpFamily::ALL.map(|family| (pod, family))) {
        let tally = requests(pod.namespace(), Target::tcp(EXTERNAL_IP.of(family), 80), 100, 8);
        assert_eq!((tally.failures(), tally.answered.len()), (0, 4), "{} over {family}: {tally:?}", pod.name);
    }
}

#[test]
fn a_service_that_changes_its_type_goes_on_under_its_external_ip() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    let cluster = Cluster::web(Routing::Native, 1).unwrap();
    let topology = &cluster.topology;
    let load_balancer = web(topology);
    let node_port = Service { load_balancer_ips: Vec::new(), ..load_balancer.clone() };
    let cluster_ip = Service { node_port: None, ..node_port.clone() };
    let loads = EXTERNAL_IP
        .both()
        .map(|address| Load::start(&topology.client, Target::tcp(address, 80), &TRANSFERS).unwrap());
    for _ in 0..2 {
        for service in [&node_port, &cluster_ip, &node_port, &load_balancer] {
            cluster.apply(service).unwrap();
            let frontends = service.targets(topology.node_a());
            let udp = load_balancer.targets(topology.node_a()).into_iter();
            for target in udp.filter(|target| target.protocol == Protocol::Udp) {
                let wanted = frontends.contains(&target);
                let client = CLIENT.of(target.family());
                wait::until_true(&format!("{target} is served: {wanted}"), || {
                    is_served(&topology.client, client, target.address) == wanted
                })
                .unwrap();
            }
            loads.iter().for_each(|load| load.advance(5).unwrap());
        }
    }
    loads.into_iter().for_each(|load| load.finish().unwrap());
}
