//! Clusters made up by proptest, small enough that names, addresses and ports collide all the time.

use std::net::IpAddr;

use lb_model::{
    cidr::Cidr,
    config::NodeConfig,
    object::{
        Endpoint, EndpointPort, EndpointSlice, ForwardingMode, IpFamily, Node, ObjectKey, Protocol, Service,
        ServicePort, ServiceType, Snapshot, TrafficPolicy,
    },
    persistent_map::PersistentMap,
    policy::ExternalIpPolicy,
};
use proptest::{collection, option, prelude::*, sample};

fn ips(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn ranges(texts: &[&str]) -> Vec<Cidr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

/// Node n1.
pub(crate) fn config() -> NodeConfig {
    let allowed = ["203.0.113.0/24", "192.0.2.0/24", "2001:db8:1::/64", "10.0.0.0/8"];
    NodeConfig {
        node_name: "n1".to_owned(),
        addresses: ips(&["192.0.2.1", "192.0.2.2", "2001:db8::1"]),
        primary_addresses: ips(&["192.0.2.1", "2001:db8::1"]),
        external_ips_allowed: ExternalIpPolicy::everywhere(ranges(&allowed)),
        node_port_addresses: ranges(&["192.0.2.0/24", "2001:db8::/64"]),
    }
}

fn vip() -> impl Strategy<Value = IpAddr> {
    sample::select(ips(&[
        "203.0.113.1",
        "203.0.113.2",
        "203.0.113.3",
        "198.51.100.1",
        "192.0.2.1",
        "10.0.0.3",
        "2001:db8:1::1",
        "2001:db8:1::2",
        "2001:db8::1",
    ]))
}

fn protocol() -> impl Strategy<Value = Protocol> {
    prop_oneof![4 => Just(Protocol::Tcp), 2 => Just(Protocol::Udp), 1 => Just(Protocol::Sctp)]
}

fn port_name() -> impl Strategy<Value = String> {
    sample::select(vec!["", "http", "dns"]).prop_map(str::to_owned)
}

fn families() -> impl Strategy<Value = Vec<IpFamily>> {
    sample::select(vec![vec![], vec![IpFamily::Ipv4], vec![IpFamily::Ipv6], IpFamily::ALL.to_vec()])
}

fn source_ranges() -> impl Strategy<Value = Option<Vec<Cidr>>> {
    let ranges = ranges(&["10.0.0.0/8", "10.1.0.0/16", "0.0.0.0/0", "::/0", "2001:db8:2::/64", "::/1"]);
    option::of(sample::subsequence(ranges, 0..3))
}

prop_compose! {
    fn service_port()(
        name in port_name(), protocol in protocol(), port in 80u16..82, node_port in 30_000u16..30_004,
    ) -> ServicePort {
        ServicePort { name, protocol, port, node_port: Some(node_port).filter(|port| *port < 30_003), app_protocol: None }
    }
}

prop_compose! {
    pub(crate) fn service()(
        created in 0i64..3,
        service_type in sample::select(vec![ServiceType::ClusterIp, ServiceType::NodePort, ServiceType::LoadBalancer]),
        ip_families in families(),
        external_ips in collection::vec(vip(), 0..3),
        load_balancer_ips in collection::vec(vip(), 0..3),
        local in any::<bool>(),
        dsr in any::<bool>(),
        affinity_seconds in option::of(sample::select(vec![1, 60, 86_400])),
        source_ranges in source_ranges(),
        ports in collection::vec(service_port(), 1..3),
    ) -> Service {
        Service {
            created,
            service_type,
            ip_families,
            external_ips,
            load_balancer_ips,
            external_traffic_policy: if local { TrafficPolicy::Local } else { TrafficPolicy::Cluster },
            affinity_seconds,
            source_ranges,
            forwarding_mode: if dsr { ForwardingMode::Dsr } else { ForwardingMode::Snat },
            ports,
            ..Service::default()
        }
    }
}

fn hints(names: [&'static str; 2]) -> impl Strategy<Value = Vec<String>> {
    let names = names.map(str::to_owned).to_vec();
    prop_oneof![2 => Just(vec![]), 1 => sample::subsequence(names, 1..3)]
}

prop_compose! {
    pub(crate) fn endpoint()(
        last in 1u8..10, v6 in proptest::bool::weighted(0.3), node in 1u8..4,
        ready: bool, serving: bool, terminating: bool,
        for_nodes in hints(["n1", "n2"]), for_zones in hints(["z1", "z2"]),
    ) -> Endpoint {
        let v6_address = IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, u16::from(last)]);
        let address = if v6 { v6_address } else { IpAddr::from([10, 0, 0, last]) };
        let node = Some(format!("n{node}")).filter(|_| node < 3);
        Endpoint { address, node, ready, serving, terminating, for_nodes, for_zones }
    }
}

prop_compose! {
    pub(crate) fn slice()(
        service in 0u8..6,
        created in 0i64..3,
        lists_pods: bool,
        ports in collection::vec((port_name(), protocol(), 8080u16..8082), 0..3),
        endpoints in collection::vec(endpoint(), 0..6),
    ) -> EndpointSlice {
        let port = |(name, protocol, port)| EndpointPort { name, protocol, port };
        let ports = ports.into_iter().map(port).collect();
        EndpointSlice { created, lists_pods, service: format!("s{service}"), ports, endpoints }
    }
}

fn slices() -> impl Strategy<Value = PersistentMap<ObjectKey, EndpointSlice>> {
    collection::btree_map((0u8..8).prop_map(|n| ObjectKey::new("ns", format!("e{n}"))), slice(), 0..8)
        .prop_map(|slices| slices.into_iter().collect())
}

prop_compose! {
    pub(crate) fn node()(
        internal_ips in sample::subsequence(ips(&["192.0.2.1", "192.0.2.9", "2001:db8::9"]), 0..3),
        zone in option::of(sample::select(vec!["z1".to_owned(), "z2".to_owned()])),
        pod_cidrs in sample::subsequence(ranges(&["10.0.0.0/29", "fd00::/125"]), 0..3),
    ) -> Node {
        Node { internal_ips, zone, pod_cidrs, ..Node::default() }
    }
}

pub(crate) fn snapshot() -> impl Strategy<Value = Snapshot> {
    let services =
        collection::btree_map((0u8..6).prop_map(|n| ObjectKey::new("ns", format!("s{n}"))), service(), 0..6);
    let nodes = collection::btree_map((1u8..4).prop_map(|n| format!("n{n}")), node(), 0..4);
    (services, slices(), nodes).prop_map(|(services, slices, nodes)| Snapshot {
        services: services.into_iter().collect(),
        slices,
        nodes: nodes.into_iter().collect(),
        ..Snapshot::default()
    })
}

/// The same Services while their endpoints change.
pub(crate) fn churn() -> impl Strategy<Value = Vec<Snapshot>> {
    (snapshot(), collection::vec(slices(), 1..6)).prop_map(|(first, slices)| {
        slices.into_iter().map(|slices| Snapshot { slices, ..first.clone() }).collect()
    })
}

/// A change of one object.
#[derive(Clone, Debug)]
enum Edit {
    Service(u8, Option<Service>),
    Slice(u8, Option<EndpointSlice>),
    Node(u8, Option<Node>),
}

impl Edit {
    fn apply(self, snapshot: &mut Snapshot) {
        fn put<K: Ord, V>(map: &mut PersistentMap<K, V>, key: K, value: Option<V>) {
            match value {
                Some(value) => map.insert(key, value),
                None => drop(map.remove(&key)),
            }
        }
        match self {
            Self::Service(n, service) => {
                put(&mut snapshot.services, ObjectKey::new("ns", format!("s{n}")), service)
            }
            Self::Slice(n, slice) => put(&mut snapshot.slices, ObjectKey::new("ns", format!("e{n}")), slice),
            Self::Node(n, node) => put(&mut snapshot.nodes, format!("n{n}"), node),
        }
    }
}

fn edit() -> impl Strategy<Value = Edit> {
    let cluster_ips = sample::subsequence(ips(&["203.0.113.2", "2001:db8:1::1", "10.96.0.1"]), 0..2);
    let service =
        (service(), cluster_ips).prop_map(|(service, cluster_ips)| Service { cluster_ips, ..service });
    prop_oneof![
        4 => (0u8..6, option::weighted(0.8, service)).prop_map(|(n, service)| Edit::Service(n, service)),
        8 => (0u8..8, option::weighted(0.8, slice())).prop_map(|(n, slice)| Edit::Slice(n, slice)),
        1 => (1u8..4, option::weighted(0.8, node())).prop_map(|(n, node)| Edit::Node(n, node)),
    ]
}

/// The same objects, none of them shared.
fn copy(snapshot: &Snapshot) -> Snapshot {
    fn copy<K: Ord + Clone, V: Clone>(map: &PersistentMap<K, V>) -> PersistentMap<K, V> {
        map.iter().map(|(key, value)| (key.clone(), value.clone())).collect()
    }
    Snapshot {
        services: copy(&snapshot.services),
        slices: copy(&snapshot.slices),
        nodes: copy(&snapshot.nodes),
        refused: snapshot.refused.iter().cloned().collect(),
        ..Snapshot::default()
    }
}

/// A cluster in which one object after the other changes; now and then several at once, or a source starts over and
/// shares nothing with what it published before.
pub(crate) fn walk() -> impl Strategy<Value = Vec<Snapshot>> {
    let edits = prop_oneof![3 => collection::vec(edit(), 1..2), 1 => collection::vec(edit(), 0..6)];
    let steps = collection::vec((edits, proptest::bool::weighted(0.2)), 1..12);
    (snapshot(), steps).prop_map(|(first, steps)| {
        let mut walk = vec![first];
        for (edits, starts_over) in steps {
            let before = &walk[walk.len() - 1];
            let mut next = if starts_over { copy(before) } else { before.clone() };
            edits.into_iter().for_each(|edit| edit.apply(&mut next));
            walk.push(next);
        }
        walk
    })
}
