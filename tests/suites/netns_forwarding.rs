//! Real TCP and UDP through one node to pods on it and on the other: who answers, and whom they see.
#![allow(clippy::unwrap_used, reason = "a failed assumption is a failed test")]

use std::{collections::BTreeSet, net::IpAddr};

use lb_tests::{
    cluster::{Cluster, web},
    load::{Kind, Load},
    manifests::Service,
    skip,
    topo::{CLIENT, EXTERNAL_IP, Node, Routing, Topology},
    traffic::{IpFamily, Target, requests},
};

/// Enough for every one of four pods to be chosen, but for one run in 10^7.
const REQUESTS: u32 = 60;

/// The client address that pods are to see behind `node`: the client's own on the same node, else the address that
/// the kernel takes for the route to the pod.
fn seen_behind(
    node: &Node,
    topology: &Topology,
    routing: Routing,
    family: IpFamily,
) -> BTreeSet<(String, IpAddr)> {
    let source = match routing {
        Routing::Native => node.addresses,
        Routing::Vxlan => node.overlay_addresses(),
    };
    let seen = |on: &str| if on == node.name { CLIENT } else { source }.of(family);
    topology.pods().map(|pod| (pod.name.clone(), seen(&pod.node))).collect()
}

fn every_frontend_leads_to_every_pod(routing: Routing, mode: &str) {
    let topology = Topology::new(routing, 2).unwrap();
    let cluster = Cluster::start_on(topology, &["--mode", mode], |topology| vec![web(topology)]).unwrap();
    every_frontend_is_answered_by(&cluster.topology, |node, family| {
        seen_behind(node, &cluster.topology, routing, family)
    });
}

/// Every request to every frontend of either node is answered, by these pods to these clients.
fn every_frontend_is_answered_by(
    topology: &Topology,
    expected: impl Fn(&Node, IpFamily) -> BTreeSet<(String, IpAddr)>,
) {
    for node in &topology.nodes {
        topology.route_vips_to(node).unwrap();
        for target in web(topology).targets(node) {
            let tally = requests(&topology.client, target, REQUESTS, 8);
            assert_eq!(tally.failures(), 0, "{target} on {}: {tally:?}", node.name);
            assert_eq!(tally.seen, expected(node, target.family()), "{target} on {}", node.name);
        }
    }
}

#[test]
fn node_port_external_and_load_balancer_ip_lead_to_pods_of_both_nodes() {
    if skip::need(skip::NETWORK) {
        every_frontend_leads_to_every_pod(Routing::Native, "native");
    }
}

#[test]
fn node_port_external_and_load_balancer_ip_lead_to_pods_behind_an_overlay() {
    if skip::need(skip::NETWORK) {
        every_frontend_leads_to_every_pod(Routing::Vxlan, "native");
    }
}

#[test]
fn nodes_without_xdp_forward_at_tcx_alone() {
    if skip::need(skip::NETWORK) {
        every_frontend_leads_to_every_pod(Routing::Native, "tc");
        every_frontend_leads_to_every_pod(Routing::Vxlan, "tc");
    }
}

#[test]
fn generic_xdp_forwards_where_it_is_asked_for() {
    if skip::need(skip::NETWORK) {
        every_frontend_leads_to_every_pod(Routing::Native, "generic");
    }
}

#[test]
fn transfers_in_both_directions_arrive_whole_by_every_way() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    let ways = [
        (Routing::Native, "native"),
        (Routing::Vxlan, "native"),
        (Routing::Native, "tc"),
        (Routing::Vxlan, "tc"),
    ];
    for (routing, mode) in ways {
        let topology = Topology::new(routing, 1).unwrap();
        let cluster = Cluster::start_on(topology, &["--mode", mode], |topology| vec![web(topology)]).unwrap();
        let sessions = [(Kind::Connections, 4), (Kind::Exchange, 8), (Kind::Download, 8), (Kind::Upload, 8)];
        for family in IpFamily::ALL {
            let target = Target::tcp(EXTERNAL_IP.of(family), 80);
            let load = Load::start(&cluster.topology.client, target, &sessions).unwrap();
            load.advance(100).unwrap();
            load.finish().unwrap();
        }
    }
}

#[test]
fn pods_of_the_host_network_answer_on_their_own_and_on_the_other_node() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    for routing in [Routing::Native, Routing::Vxlan] {
        let mut topology = Topology::new(routing, 0).unwrap();
        for (node, name) in topology.nodes.iter_mut().zip(["host-a", "host-b"]) {
            node.start_host_pod(name).unwrap();
        }
        let cluster = Cluster::start_on(topology, &[], |topology| vec![web(topology)]).unwrap();
        every_frontend_is_answered_by(&cluster.topology, |node, family| {
            // Nodes reach each other without the overlay.
            seen_behind(node, &cluster.topology, Routing::Native, family)
        });
    }
}

#[test]
fn the_local_policy_keeps_to_pods_of_the_node_and_the_client_address() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    let cluster = Cluster::start(Routing::Native, 2, |topology| vec![web(topology).local()]).unwrap();
    every_frontend_is_answered_by(&cluster.topology, |node, family| {
        node.pods.iter().map(|pod| (pod.name.clone(), CLIENT.of(family))).collect()
    });
}

#[test]
fn several_services_share_a_node_and_each_reaches_its_own_pods() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    let services = |topology: &Topology| -> Vec<Service> {
        let service = |(port, pod)| {
            let pods = topology.pods().filter(|other| other.name == pod);
            Service::new(&format!("only-{pod}"), pods).node_port(port)
        };
        [(30_001, "pod-a1"), (30_002, "pod-a2"), (30_003, "pod-b1"), (30_004, "pod-b2")].map(service).into()
    };
    let cluster = Cluster::start(Routing::Native, 2, services).unwrap();
    let topology = &cluster.topology;
    for service in services(topology) {
        for target in topology.nodes.iter().flat_map(|node| service.targets(node)) {
            let tally = requests(&topology.client, target, 10, 2);
            let pod = service.name.trim_start_matches("only-");
            assert_eq!(tally.answered.get(pod), Some(&10), "{target}: {tally:?}");
        }
    }
}
