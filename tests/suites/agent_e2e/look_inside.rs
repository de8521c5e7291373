//! `sluice trace` and `sluice get` over what an agent made of Services of both families.

use std::net::UdpSocket;

use lb_common::trace::Step;
use lb_tests::{skip, wait};
use lb_userspace::dataplane::pinned::Pinned;
use serde_json::Value;

use super::node::Node;

/// `near` is translated, `far` encapsulated (direct server return); both of both families, with an endpoint at the other
/// end of the uplink.
const MANIFESTS: &str = "
apiVersion: v1
kind: Node
metadata: {name: node}
status: {addresses: [{type: InternalIP, address: 192.0.2.1}, {type: InternalIP, address: '2001:db8::1'}]}
---
apiVersion: v1
kind: Node
metadata: {name: other}
status: {addresses: [{type: InternalIP, address: 192.0.2.2}, {type: InternalIP, address: '2001:db8::2'}]}
---
apiVersion: v1
kind: Service
metadata: {name: near, namespace: default}
spec:
  type: LoadBalancer
  ipFamilies: [IPv4, IPv6]
  sessionAffinity: ClientIP
  sessionAffinityConfig: {clientIP: {timeoutSeconds: 600}}
  loadBalancerSourceRanges: [192.0.2.0/24, '2001:db8::/32']
  ports: [{name: dns, port: 53, protocol: UDP}, {name: tel, port: 2905, protocol: SCTP}]
status: {loadBalancer: {ingress: [{ip: 203.0.113.10}, {ip: '2001:db8:f::10'}]}}
---
apiVersion: v1
kind: Service
metadata: {name: far, namespace: default, annotations: {sluice.dev/forwarding-mode: dsr}}
spec: {type: LoadBalancer, ipFamilies: [IPv4, IPv6], ports: [{name: dns, port: 53, protocol: UDP}]}
status: {loadBalancer: {ingress: [{ip: 203.0.113.20}, {ip: '2001:db8:f::20'}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: near-4, namespace: default, labels: {kubernetes.io/service-name: near}}
addressType: IPv4
ports: [{name: dns, port: 5353, protocol: UDP}, {name: tel, port: 2905, protocol: SCTP}]
endpoints: [{addresses: [192.0.2.2], nodeName: other}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: near-6, namespace: default, labels: {kubernetes.io/service-name: near}}
addressType: IPv6
ports: [{name: dns, port: 5353, protocol: UDP}, {name: tel, port: 2905, protocol: SCTP}]
endpoints: [{addresses: ['2001:db8::2'], nodeName: other}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: far-4, namespace: default, labels: {kubernetes.io/service-name: far}}
addressType: IPv4
ports: [{name: dns, port: 5353, protocol: UDP}]
endpoints: [{addresses: [192.0.2.2], nodeName: other}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: far-6, namespace: default, labels: {kubernetes.io/service-name: far}}
addressType: IPv6
ports: [{name: dns, port: 5353, protocol: UDP}]
endpoints: [{addresses: ['2001:db8::2'], nodeName: other}]
";

fn node() -> Node {
    let node = Node::new();
    node.write("all.yaml", MANIFESTS);
    node.add_ipv6();
    for family in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
        node.namespace.sysctl(family, "1").unwrap();
    }
    node
}

/// Waits until both ways to the endpoints are known: XDP leaves a packet to tcx before.
fn wait_for_neighbours(node: &Node) {
    wait::until_true("resolved neighbours", || {
        let table = node.neighbours();
        ["192.0.2.2 ", "2001:db8::2 "]
            .iter()
            .all(|hop| table.lines().any(|line| line.starts_with(hop) && line.contains("lladdr")))
    })
    .unwrap();
}

fn json(node: &Node, line: &str) -> Value {
    let words: Vec<_> = line.split(' ').chain(["-o", "json"]).collect();
    serde_json::from_str(&node.sluice(&words)).unwrap()
}

fn items(node: &Node, line: &str) -> Vec<Value> {
    json(node, line)["items"].as_array().unwrap().clone()
}

/// Flows, clients and datagrams that the kernel remembers.
fn remembered(maps: &Pinned) -> usize {
    maps.flows().count() + maps.flows6().count() + maps.affinity().count() + maps.fragments().count()
}

#[test]
fn traces_of_every_kind_of_packet_tell_what_would_happen_and_leave_nothing_behind() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    let node = node();
    let _agent = node.start(&[]);
    wait_for_neighbours(&node);
    let maps = Pinned::open(&node.pins).unwrap();
    for (packet, step, summary) in [
        ("udp 192.0.2.7:4000 203.0.113.10:53", Step::Rewrite, "forwarded through eth0 as 192.0.2.1:"),
        ("udp [2001:db8::7]:4000 [2001:db8:f::10]:53", Step::Rewrite, "through eth0 as [2001:db8::1]:"),
        ("sctp [2001:db8::7]:4000 [2001:db8:f::10]:2905", Step::SourcePort, "-> [2001:db8::2]:2905"),
        ("udp 198.51.100.7:4000 203.0.113.10:53", Step::SourceRange, "dropped (source-not-allowed)"),
        ("udp [2001:db9::7]:4000 [2001:db8:f::10]:53", Step::SourceRange, "dropped (source-not-allowed)"),
        ("udp 192.0.2.7:4000 203.0.113.20:53", Step::Encapsulated, "inside a header 192.0.2.1 -> 192.0.2.2"),
        (
            "udp [2001:db8::7]:4000 [2001:db8:f::20]:53",
            Step::Encapsulated,
            "inside a header 2001:db8::1 -> 2001:db8::2",
        ),
        ("icmp 192.0.2.7 203.0.113.10", Step::Echo, "answered with an ICMP echo reply"),
        ("icmp 2001:db8::7 2001:db8:f::10", Step::Echo, "answered with an ICMPv6 echo reply"),
        ("udp 192.0.2.7:4000 203.0.113.10:53 --fragment first", Step::Rewrite, "forwarded through eth0"),
        ("udp 192.0.2.7 203.0.113.10 --fragment later", Step::FragmentUnmatched, "was not seen"),
        ("udp 192.0.2.7:4000 203.0.113.10:53 --vlan 100,200", Step::Rewrite, "forwarded through eth0"),
        ("tcp [2001:db8::7]:4000 [2001:db8:f::10]:81", Step::CatchAll, "answered with a TCP reset"),
        ("udp [2001:db8::7]:4000 [2001:db8:f::10]:81", Step::CatchAll, "an ICMPv6 port unreachable"),
    ] {
        let trace = json(&node, &format!("trace {packet}"));
        let steps = trace["stages"][0]["steps"].as_array().unwrap();
        let taken: Vec<_> = steps.iter().map(|step| step["step"].as_str().unwrap()).collect();
        assert!(taken.contains(&format!("{step:?}").as_str()), "{packet}: {taken:?}");
        assert!(trace["summary"].as_str().unwrap().contains(summary), "{packet}: {}", trace["summary"]);
        assert_eq!(remembered(&maps), 0, "{packet} left something");
    }
    assert!(maps.drops().unwrap().iter().all(|(_, count)| *count == 0), "{:?}", maps.drops());
}

#[test]
fn flows_and_affinity_of_both_families_are_shown() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    let node = node();
    let _agent = node.start(&[]);
    wait_for_neighbours(&node);
    node.route_from_peer(&["203.0.113.0/24", "2001:db8:f::/64"]);
    for (own, vip) in [
        ("192.0.2.2:4000", "203.0.113.10:53"),
        ("[2001:db8::2]:4000", "[2001:db8:f::10]:53"),
        ("192.0.2.2:4000", "203.0.113.20:53"),
        ("[2001:db8::2]:4000", "[2001:db8:f::20]:53"),
    ] {
        node.peer().enter(|| UdpSocket::bind(own).unwrap().send_to(b"x", vip)).unwrap();
    }
    let flow = |frontend: &str| {
        wait::until(&format!("a flow to {frontend}"), || {
            let flows = items(&node, "get flows");
            flows.into_iter().find(|flow| flow["frontend"] == frontend && flow["half"] == "Forward")
        })
        .unwrap()
    };
    for (near, endpoint) in
        [("203.0.113.10:53", "192.0.2.2:5353"), ("[2001:db8:f::10]:53", "[2001:db8::2]:5353")]
    {
        let flow = flow(near);
        assert_eq!((&flow["forwarding"], &flow["node"]), (&"SNAT".into(), &Value::Null), "{flow}");
        assert_eq!(flow["endpoint"], endpoint, "{flow}");
    }
    for (far, other) in [("203.0.113.20:53", "192.0.2.2"), ("[2001:db8:f::20]:53", "2001:db8::2")] {
        let flow = flow(far);
        assert_eq!((&flow["forwarding"], &flow["node"]), (&"DSR".into(), &other.into()), "{flow}");
        assert_eq!((&flow["endpoint"], &flow["source"]), (&Value::Null, &flow["client"]), "{flow}");
    }
    let affinity = items(&node, "get affinity");
    let bound: Vec<_> = affinity
        .iter()
        .map(|row| (row["client"].as_str().unwrap(), row["endpoint"].as_str().unwrap()))
        .collect();
    assert_eq!(bound, [("192.0.2.2", "192.0.2.2:5353"), ("2001:db8::2", "[2001:db8::2]:5353")]);
    for row in &affinity {
        assert_eq!((&row["state"], &row["service"]["name"]), (&"Bound".into(), &"near".into()), "{row}");
        assert!((1..=600).contains(&row["secondsLeft"].as_u64().unwrap()), "{row}");
    }
    // The next flow of a client is told to go where its first one went.
    let trace = json(&node, "trace udp 192.0.2.2:4001 203.0.113.10:53");
    assert!(
        trace.to_string().contains("the client's earlier flows went to endpoint 192.0.2.2:5353"),
        "{trace}"
    );
}
