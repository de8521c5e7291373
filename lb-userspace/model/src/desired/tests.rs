mod topology;

use std::net::IpAddr;

use lb_common::{
    backend::{BACKEND_LOCAL, BACKEND_TERMINATING},
    service::{SERVICE_EXTERNAL_IP, SERVICE_LOAD_BALANCER, SERVICE_LOCAL, SERVICE_SILENT},
};

use super::*;
use crate::object::{
    Endpoint, EndpointPort, EndpointSlice, Node, Protocol, Service, ServicePort, ServiceType, TrafficPolicy,
};
use crate::policy::ExternalIpPolicy;

const TCP: Protocol = Protocol::Tcp;

fn config() -> NodeConfig {
    NodeConfig {
        node_name: "n1".to_owned(),
        addresses: vec!["192.0.2.1".parse().unwrap(), "172.17.0.1".parse().unwrap()],
        primary_addresses: vec!["192.0.2.1".parse().unwrap()],
        external_ips_allowed: ExternalIpPolicy::everywhere(vec![
            "0.0.0.0/0".parse().unwrap(),
            "::/0".parse().unwrap(),
        ]),
        ..NodeConfig::default()
    }
}

fn service(vip: &str) -> Service {
    let port =
        ServicePort { name: "http".to_owned(), protocol: TCP, port: 80, node_port: None, app_protocol: None };
    Service { external_ips: vec![vip.parse().unwrap()], ports: vec![port], ..Service::default() }
}

fn endpoint(address: &str, node: &str, conditions: &str) -> Endpoint {
    Endpoint {
        address: address.parse().unwrap(),
        node: Some(node.to_owned()).filter(|node| !node.is_empty()),
        ready: conditions.contains('r'),
        serving: conditions.contains('s'),
        terminating: conditions.contains('t'),
        for_nodes: Vec::new(),
        for_zones: Vec::new(),
    }
}

fn slice(service: &str, port: u16, endpoints: Vec<Endpoint>) -> EndpointSlice {
    let ports = vec![EndpointPort { name: "http".to_owned(), protocol: TCP, port }];
    EndpointSlice { service: service.to_owned(), ports, endpoints, ..EndpointSlice::default() }
}

fn snapshot<const S: usize, const E: usize>(
    services: [(&str, Service); S],
    slices: [EndpointSlice; E],
) -> Snapshot {
    let key = |name: &str| ObjectKey::new("default", name);
    Snapshot {
        services: services.into_iter().map(|(name, service)| (key(name), service)).collect(),
        slices: slices
            .into_iter()
            .enumerate()
            .map(|(n, slice)| (key(&format!("slice-{n}")), slice))
            .collect(),
        ..Snapshot::default()
    }
}

fn texts(ids: &[BackendId]) -> Vec<String> {
    ids.iter().map(|id| id.socket().to_string()).collect()
}

/// Last numbers of the addresses of ring members.
fn members(policy: TrafficPolicy, endpoints: &[(&str, &str)]) -> String {
    let endpoints = endpoints.iter().enumerate();
    let endpoints =
        endpoints.map(|(n, (node, conditions))| endpoint(&format!("10.0.0.{n}"), node, conditions));
    let service = Service { external_traffic_policy: policy, ..service("203.0.113.1") };
    let desired =
        desired(&snapshot([("web", service)], [slice("web", 8080, endpoints.collect())]), &config());
    let members = &desired.services["default/web:http"].members;
    members
        .iter()
        .map(|id| id.address.to_string().rsplit('.').next().unwrap().to_owned())
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn new_flows_go_to_ready_endpoints_or_else_to_those_that_serve_while_they_terminate() {
    use TrafficPolicy::{Cluster, Local};
    // Conditions: r(eady), s(erving), t(erminating).
    let table = [
        (Cluster, vec![("n1", "rs"), ("n2", "rs")], "0 1"),
        (Cluster, vec![("n1", "rs"), ("n2", "s")], "0"),
        (Cluster, vec![("n1", "rs"), ("n2", "st")], "0"),
        (Cluster, vec![("n1", "st"), ("n2", "st"), ("n2", "t")], "0 1"),
        (Cluster, vec![("n1", "s"), ("n2", "")], ""),
        (Cluster, vec![("n1", "t")], ""),
        // publishNotReadyAddresses arrives as ready, terminating or not.
        (Cluster, vec![("n1", "rst"), ("n2", "st")], "0"),
        (Local, vec![("n1", "rs"), ("n2", "rs")], "0"),
        (Local, vec![("n2", "rs")], ""),
        // Decided among local endpoints alone: a ready one elsewhere does not count.
        (Local, vec![("n1", "st"), ("n2", "rs")], "0"),
        (Local, vec![("n1", ""), ("n2", "rs")], ""),
        (Local, vec![("n1", "st"), ("n1", "rs")], "1"),
    ];
    for (policy, endpoints, expected) in table {
        assert_eq!(members(policy, &endpoints), expected, "{policy:?} {endpoints:?}");
    }
}

#[test]
fn every_slice_counts_and_a_duplicate_counts_once_with_its_better_condition() {
    let slices = [
        slice("web", 8080, vec![endpoint("10.0.0.2", "n2", ""), endpoint("10.0.0.1", "n2", "rs")]),
        slice("web", 8080, vec![endpoint("10.0.0.2", "n2", "rs")]),
        // A named target port resolves to another number for other pods.
        slice("web", 9090, vec![endpoint("10.0.0.3", "n2", "rs"), endpoint("2001:db8::1", "n2", "rs")]),
        slice("other", 8080, vec![endpoint("10.0.0.9", "n2", "rs")]),
    ];
    let desired = desired(&snapshot([("web", service("203.0.113.1"))], slices), &config());
    let web = &desired.services["default/web:http"];
    assert_eq!(texts(&web.members), ["10.0.0.1:8080", "10.0.0.2:8080", "10.0.0.3:9090"]);
    assert_eq!(web.draining, []);
}

#[test]
fn slices_match_by_namespace_port_name_and_protocol() {
    let mut udp = slice("web", 8081, vec![endpoint("10.0.0.1", "n1", "rs")]);
    udp.ports[0].protocol = Protocol::Udp;
    let mut metrics = slice("web", 8082, vec![endpoint("10.0.0.1", "n1", "rs")]);
    metrics.ports[0].name = "metrics".to_owned();
    let mut snapshot = snapshot([("web", service("203.0.113.1"))], [udp, metrics]);
    let elsewhere = slice("web", 8080, vec![endpoint("10.0.0.1", "n1", "rs")]);
    snapshot.slices.insert(ObjectKey::new("other", "web"), elsewhere);
    assert_eq!(desired(&snapshot, &config()).services["default/web:http"].members, []);
}

#[test]
fn an_endpoint_is_local_by_node_name_by_address_or_without_a_name_by_pod_cidr() {
    let endpoints =
        [("10.0.0.1", "n1"), ("10.0.0.2", "n2"), ("192.0.2.1", "n2"), ("10.1.0.1", ""), ("10.2.0.1", "")];
    let endpoints = endpoints.map(|(address, node)| endpoint(address, node, "rs")).to_vec();
    let mut snapshot = snapshot([("web", service("203.0.113.1"))], [slice("web", 8080, endpoints)]);
    let node = Node { pod_cidrs: vec!["10.1.0.0/24".parse().unwrap()], ..Node::default() };
    snapshot.nodes.insert("n1".to_owned(), node);
    let desired = desired(&snapshot, &config());
    let local = desired.backends.iter().filter(|(_, backend)| backend.flags & BACKEND_LOCAL != 0);
    let local: Vec<_> = local.map(|(id, _)| id.address.to_string()).collect();
    assert_eq!(local, ["10.0.0.1", "10.1.0.1", "192.0.2.1"]);
}

#[test]
fn endpoints_that_take_no_new_flows_are_kept_for_old_ones_and_marked() {
    let endpoints = vec![
        endpoint("10.0.0.1", "n2", "rs"),
        endpoint("10.0.0.2", "n2", "st"),
        endpoint("10.0.0.3", "n2", ""),
    ];
    let snapshot = snapshot([("web", service("203.0.113.1"))], [slice("web", 8080, endpoints)]);
    let desired = desired(&snapshot, &config());
    assert_eq!(texts(&desired.services["default/web:http"].draining), ["10.0.0.2:8080", "10.0.0.3:8080"]);
    let flags: Vec<_> = desired.backends.values().map(|backend| backend.flags).collect();
    assert_eq!(flags, [0, BACKEND_TERMINATING, BACKEND_TERMINATING]);
}

#[test]
fn the_oldest_service_owns_a_frontend_and_the_first_by_name_among_equals() {
    let aged = |created| Service { created, ..service("203.0.113.1") };
    let names = |services| {
        let desired = desired(&snapshot(services, []), &config());
        let refused: Vec<_> = desired.refusals.iter().map(ToString::to_string).collect();
        (desired.services.keys().cloned().collect::<Vec<_>>().join(" "), refused.join("\n"))
    };
    let (served, refused) = names([("a", aged(2)), ("b", aged(1))]);
    assert_eq!(served, "default/b:http");
    assert_eq!(
        refused,
        "Service default/a: FrontendConflict: 203.0.113.1:80/TCP of Service default/a belongs to Service default/b, \
         which is older"
    );
    let (served, refused) = names([("a", aged(1)), ("b", aged(1))]);
    assert_eq!(served, "default/a:http");
    assert!(refused.ends_with("belongs to Service default/a, which is first by name"), "{refused}");
}

#[test]
fn one_address_may_be_external_and_load_balancer_ip_at_once() {
    let service = Service {
        service_type: ServiceType::LoadBalancer,
        load_balancer_ips: vec!["203.0.113.1".parse().unwrap()],
        external_traffic_policy: TrafficPolicy::Local,
        ..service("203.0.113.1")
    };
    let desired = desired(&snapshot([("web", service)], []), &config());
    let flags = SERVICE_EXTERNAL_IP | SERVICE_LOAD_BALANCER | SERVICE_LOCAL | SERVICE_SILENT;
    assert_eq!(
        desired.services["default/web:http"].frontends.iter().map(|f| f.flags).collect::<Vec<_>>(),
        [flags]
    );
}

#[test]
fn an_address_that_is_somebodys_is_no_vip() {
    let pods = vec![endpoint("10.9.0.9", "n2", "rs"), endpoint("2001:db8:9::9", "n2", "rs")];
    let mut snapshot = snapshot(
        [("dns", Service { cluster_ips: vec![ip("10.96.0.10")], ..Service::default() })],
        [EndpointSlice { lists_pods: true, ..slice("dns", 53, pods) }],
    );
    let node = Node {
        internal_ips: vec![ip("192.0.2.2"), ip("2001:db8::2")],
        pod_cidrs: vec!["10.2.0.0/24".parse().unwrap(), "fd00:2::/64".parse().unwrap()],
        ..Node::default()
    };
    snapshot.nodes.insert("n2".to_owned(), node);
    let table = [
        ("192.0.2.1", "FrontendIsNodeAddress", "an address of a device of this node (n1)"),
        ("192.0.2.2", "FrontendIsNodeAddress", "an address of Node n2"),
        ("10.96.0.10", "FrontendIsClusterIp", "the ClusterIP of Service default/dns"),
        ("10.2.0.77", "FrontendIsPodAddress", "inside the podCIDR 10.2.0.0/24 of Node n2"),
        ("10.9.0.9", "FrontendIsPodAddress", "a pod of EndpointSlice default/slice-0"),
        ("2001:db8:9::9", "FrontendIsPodAddress", "a pod of EndpointSlice default/slice-0"),
        ("fd00:2::1", "FrontendIsPodAddress", "inside the podCIDR fd00:2::/64 of Node n2"),
        ("2001:db8::2", "FrontendIsNodeAddress", "an address of Node n2"),
        ("169.254.169.254", "FrontendIsSpecialAddress", "reserved for special use (RFC 6890)"),
        ("224.0.0.1", "FrontendIsSpecialAddress", "reserved for special use (RFC 6890)"),
        ("::", "FrontendIsSpecialAddress", "reserved for special use (RFC 6890)"),
        ("::1", "FrontendIsSpecialAddress", "reserved for special use (RFC 6890)"),
        ("fe80::1", "FrontendIsSpecialAddress", "reserved for special use (RFC 6890)"),
        ("ff02::1", "FrontendIsSpecialAddress", "reserved for special use (RFC 6890)"),
        ("::ffff:203.0.113.1", "FrontendIsSpecialAddress", "reserved for special use (RFC 6890)"),
    ];
    for (vip, reason, is) in table {
        let load_balancer = Service {
            service_type: ServiceType::LoadBalancer,
            load_balancer_ips: vec![ip(vip)],
            external_ips: vec![],
            ..service(vip)
        };
        for (kind, service) in [("external IP", service(vip)), ("load-balancer IP", load_balancer)] {
            snapshot.services.insert(ObjectKey::new("default", "web"), service);
            let desired = desired(&snapshot, &config());
            assert!(desired.services.is_empty(), "{vip}");
            let refusal = &desired.refusals[0];
            assert_eq!(refusal.reason, reason, "{vip}");
            assert_eq!(refusal.message, format!("{kind} {vip} of Service default/web is {is}"));
        }
    }
}

#[test]
fn a_listed_address_blocks_a_vip_only_where_pods_are_listed_and_the_slice_is_no_younger() {
    let served = |lists_pods, slice_created, service_created| {
        let slice = EndpointSlice {
            lists_pods,
            created: slice_created,
            ..slice("thief", 80, vec![endpoint("203.0.113.1", "n2", "rs")])
        };
        let service = Service { created: service_created, ..service("203.0.113.1") };
        !desired(&snapshot([("web", service)], [slice]), &config()).services.is_empty()
    };
    assert!(served(false, 1, 2), "a slice that somebody wrote");
    assert!(served(true, 3, 2), "a slice that came after the Service");
    assert!(!served(true, 1, 2));
    assert!(!served(true, 2, 2));
    assert!(!served(true, 0, 2), "ages that are not known");
    assert!(!served(true, 2, 0), "ages that are not known");
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}
