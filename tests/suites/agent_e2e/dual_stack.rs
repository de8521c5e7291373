//! What an agent makes of a node with IPv6 beside IPv4.

use std::net::{IpAddr, Ipv6Addr};

use lb_common::{
    address::Address,
    interface::{INTERFACE_UPLINK, INTERFACE_XDP, Interface},
};
use lb_tests::{skip, wait};
use lb_userspace::dataplane::pinned::Pinned;

use super::node::Node;

/// A Service of both families with an endpoint at the other end of the uplink.
const MANIFESTS: &str = "
apiVersion: v1
kind: Node
metadata: {name: node}
status: {addresses: [{type: InternalIP, address: 192.0.2.1}, {type: InternalIP, address: '2001:db8::1'}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: default}
spec: {type: NodePort, ipFamilies: [IPv4, IPv6], ports: [{port: 80, nodePort: 30080}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-4, namespace: default, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{port: 8080, protocol: TCP}]
endpoints: [{addresses: [192.0.2.2], nodeName: other, conditions: {ready: true}}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-6, namespace: default, labels: {kubernetes.io/service-name: web}}
addressType: IPv6
ports: [{port: 8080, protocol: TCP}]
endpoints: [{addresses: ['2001:db8::2'], nodeName: other, conditions: {ready: true}}]
";

fn frontends(maps: &Pinned) -> Vec<String> {
    maps.services().unwrap().keys().map(|key| IpAddr::from(key.address).to_string()).collect()
}

fn eth0(maps: &Pinned) -> Interface {
    *maps.interfaces().unwrap().values().next().unwrap()
}

#[test]
fn an_ipv6_address_that_comes_while_the_agent_runs_is_served_and_its_way_kept_warm() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    let node = Node::new();
    node.write("all.yaml", MANIFESTS);
    let _agent = node.start(&[]);
    let maps = Pinned::open(&node.pins).unwrap();
    assert_eq!(frontends(&maps), ["192.0.2.1"]);
    assert_eq!(eth0(&maps).flags, INTERFACE_XDP | INTERFACE_UPLINK);
    assert_eq!(eth0(&maps).address6_be, [0; 4]);
    node.add_ipv6();
    wait::until_true("the IPv6 node port", || frontends(&maps) == ["192.0.2.1", "2001:db8::1"]).unwrap();
    let own: Ipv6Addr = "2001:db8::1".parse().unwrap();
    assert_eq!(Address::v6(eth0(&maps).address6_be), IpAddr::V6(own).into());
    wait::until_true("the IPv6 neighbour", || {
        let neighbours = node.neighbours();
        neighbours.lines().any(|line| line.starts_with("2001:db8::2 ") && line.contains("lladdr"))
    })
    .unwrap();
}

#[test]
fn a_change_of_routes_makes_every_flow_look_at_its_way_again() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    let node = Node::new();
    node.write("all.yaml", MANIFESTS);
    node.add_ipv6();
    let _agent = node.start(&[]);
    let maps = Pinned::open(&node.pins).unwrap();
    for route in ["2001:db8:1::/64 via 2001:db8::2 dev eth0", "198.18.1.0/24 dev eth0"] {
        for change in ["add", "del"] {
            let before = maps.epoch().unwrap();
            node.namespace.ip(&format!("route {change} {route}")).unwrap();
            wait::until_true("a new epoch", || maps.epoch().unwrap() > before).unwrap();
        }
    }
}
