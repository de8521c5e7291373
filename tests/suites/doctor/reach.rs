//! The ways of packets: to endpoints, and from clients to the VIPs.

use lb_tests::{
    cluster::{Cluster, near_and_far},
    manifests::Service,
    skip,
    topo::{EXTERNAL_IP, LOAD_BALANCER_IP, Routing},
    traffic::{Target, ask},
    wait,
};

use crate::diagnosis::diagnose;

#[test]
fn faults_on_the_way_to_vips_and_endpoints_are_named() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    let cluster = Cluster::start(Routing::Native, 1, near_and_far).unwrap();
    a_vip_that_the_router_sends_elsewhere(&cluster);
    a_vip_that_nobody_announces_on_its_segment(&cluster);
    a_service_without_endpoints(&cluster);
    a_next_hop_that_does_not_answer(&cluster);
    endpoints_without_a_route(&cluster);
}

fn a_vip_that_the_router_sends_elsewhere(cluster: &Cluster) {
    let (router, client) = (&cluster.topology.router, &cluster.topology.client);
    let [routed, unrouted] = [EXTERNAL_IP.v4, LOAD_BALANCER_IP.v4].map(|vip| Target::tcp(vip.into(), 80));
    router.ip("route add unreachable 203.0.113.20/32").unwrap();
    ask(client, routed).unwrap();
    ask(client, unrouted).unwrap_err();
    let diagnosis = diagnose(cluster);
    // The IPv6 addresses have had no packets either.
    diagnosis.names(
        "NOTE",
        "vips",
        "no packet has come here for 3 of 4 VIPs: 203.0.113.20 (default/far",
        "BGP",
    );
    diagnosis.says_nothing_of("vips", "203.0.113.10");
    router.ip("route del unreachable 203.0.113.20/32").unwrap();
    ask(client, unrouted).unwrap();
    diagnose(cluster).says_nothing_of("vips", "203.0.113.20");
}

fn a_vip_that_nobody_announces_on_its_segment(cluster: &Cluster) {
    let [node_a, node_b] = cluster.topology.nodes.each_ref().map(|node| &node.namespace);
    let lan = Service {
        load_balancer_ips: vec![[192, 0, 2, 200].into()],
        ..Service::new("lan", cluster.topology.pods())
    };
    cluster.apply(&lan).unwrap();
    let message = "192.0.2.200 (default/lan";
    diagnose(cluster).names("WARN", "vips", message, "have one node announce it (MetalLB in layer 2 mode");
    let entry = node_a.run("ip", &["neighbour", "show", "192.0.2.200"]).unwrap();
    assert_eq!(entry, "", "what the doctor asked for stays in the kernel");
    // As keepalived announces it.
    node_b.ip("addr add 192.0.2.200/32 dev eth0").unwrap();
    diagnose(cluster).says_nothing_of("vips", "192.0.2.200");
    node_b.ip("addr del 192.0.2.200/32 dev eth0").unwrap();
    // Or as this node itself has it.
    node_a.ip("addr add 192.0.2.200/32 dev eth0").unwrap();
    diagnose(cluster).says_nothing_of("vips", "192.0.2.200");
    node_a.ip("addr del 192.0.2.200/32 dev eth0").unwrap();
    cluster.delete(&lan).unwrap();
}

fn a_service_without_endpoints(cluster: &Cluster) {
    let [_, far] = near_and_far(&cluster.topology).try_into().unwrap();
    cluster.apply(&far.clone().without("pod-b1")).unwrap();
    let diagnosis = diagnose(cluster);
    diagnosis.names(
        "WARN",
        "endpoints",
        "2 Services without an endpoint: default/far",
        "kubectl get endpointslices",
    );
    cluster.apply(&far).unwrap();
    diagnose(cluster).passes("endpoints");
}

fn a_next_hop_that_does_not_answer(cluster: &Cluster) {
    let node = &cluster.topology.node_a().namespace;
    node.ip("route replace 10.244.2.0/24 via 192.0.2.99").unwrap();
    let mut diagnosis = None;
    wait::until_true("the agent has the kernel ask for the new next hop", || {
        diagnosis =
            Some(diagnose(cluster)).filter(|diagnosis| diagnosis.speaks_of("neighbours", "192.0.2.99"));
        diagnosis.is_some()
    })
    .unwrap();
    let message = "nobody on eth0 answers for 192.0.2.99, the next hop to 1 endpoints (10.244.2.11)";
    diagnosis.unwrap().names("FAIL", "neighbours", message, "ping -I eth0 192.0.2.99");
    node.ip("route replace 10.244.2.0/24 via 192.0.2.12").unwrap();
    diagnose(cluster).passes("neighbours");
}

fn endpoints_without_a_route(cluster: &Cluster) {
    let node = &cluster.topology.node_a().namespace;
    node.ip("route replace unreachable 10.244.2.0/24").unwrap();
    let message = "no route to 1 endpoints on other nodes (10.244.2.11)";
    diagnose(cluster).names("FAIL", "routes", message, "ip route get 10.244.2.11");
    node.ip("route replace 10.244.2.0/24 via 192.0.2.12").unwrap();
    diagnose(cluster).says_nothing_of("routes", "10.244.2.11");
}
