//! Clusters made up by proptest, small enough that names, addresses and ports collide all the time.

use std::{collections::BTreeSet, net::IpAddr};

use lb_common::{backend::Backend, service::Service as Entry, service::ServiceKey};
use lb_model::{
    config::NodeConfig,
    desired::{Desired, desired},
    explain::{Explanation, explain},
    object::{
        Endpoint, EndpointPort, EndpointSlice, Node, ObjectKey, Protocol, Service, ServicePort, ServiceType,
        Snapshot, TrafficPolicy,
    },
    op::{Capacity, Tables},
    persistent_map::PersistentMap,
    policy::ExternalIpPolicy,
};
use proptest::{collection, prelude::*, sample};

pub(crate) const ROOMY: Capacity = Capacity { services: 1000, chunks: 4096, backends: 1000 };

pub(crate) fn config() -> NodeConfig {
    NodeConfig {
        node_name: "n1".to_owned(),
        addresses: vec!["192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap()],
        primary_addresses: vec!["192.0.2.1".parse().unwrap()],
        external_ips_allowed: ExternalIpPolicy::everywhere(vec![
            "203.0.113.0/24".parse().unwrap(),
            "192.0.2.0/24".parse().unwrap(),
        ]),
        node_port_addresses: vec!["192.0.2.0/24".parse().unwrap()],
    }
}

fn vip() -> impl Strategy<Value = IpAddr> {
    sample::select(vec!["203.0.113.1", "203.0.113.2", "203.0.113.3", "198.51.100.1", "192.0.2.1", "10.0.0.3"])
        .prop_map(|vip| vip.parse().unwrap())
}

fn protocol() -> impl Strategy<Value = Protocol> {
    prop_oneof![3 => Just(Protocol::Tcp), 1 => Just(Protocol::Udp)]
}

fn port_name() -> impl Strategy<Value = String> {
    sample::select(vec!["", "http", "dns"]).prop_map(str::to_owned)
}

prop_compose! {
    fn service_port()(name in port_name(), protocol in protocol(), port in 80u16..82, node_port in 30_000u16..30_004)
        -> ServicePort {
        ServicePort { name, protocol, port, node_port: Some(node_port).filter(|port| *port < 30_003) }
    }
}

prop_compose! {
    fn service()(
        created in 0i64..3,
        service_type in sample::select(vec![ServiceType::ClusterIp, ServiceType::NodePort, ServiceType::LoadBalancer]),
        external_ips in collection::vec(vip(), 0..3),
        load_balancer_ips in collection::vec(vip(), 0..2),
        local in any::<bool>(),
        ports in collection::vec(service_port(), 1..3),
    ) -> Service {
        let external_traffic_policy = if local { TrafficPolicy::Local } else { TrafficPolicy::Cluster };
        Service {
            created, service_type, external_ips, load_balancer_ips, external_traffic_policy, ports,
            ..Service::default()
        }
    }
}

prop_compose! {
    fn endpoint()(last in 1u8..10, node in 1u8..4, ready: bool, serving: bool, terminating: bool) -> Endpoint {
        let address = IpAddr::from([10, 0, 0, last]);
        let node = Some(format!("n{node}")).filter(|_| node < 3);
        Endpoint { address, node, ready, serving, terminating, for_nodes: Vec::new(), for_zones: Vec::new() }
    }
}

prop_compose! {
    fn slice()(
        service in 0u8..6,
        ports in collection::vec((port_name(), protocol(), 8080u16..8082), 0..3),
        endpoints in collection::vec(endpoint(), 0..6),
    ) -> EndpointSlice {
        let ports = ports.into_iter().map(|(name, protocol, port)| EndpointPort { name, protocol, port }).collect();
        EndpointSlice { service: format!("s{service}"), ports, endpoints, ..EndpointSlice::default() }
    }
}

fn slices() -> impl Strategy<Value = PersistentMap<ObjectKey, EndpointSlice>> {
    collection::btree_map((0u8..8).prop_map(|n| ObjectKey::new("ns", format!("e{n}"))), slice(), 0..8)
        .prop_map(|slices| slices.into_iter().collect())
}

pub(crate) fn snapshot() -> impl Strategy<Value = Snapshot> {
    let services =
        collection::btree_map((0u8..6).prop_map(|n| ObjectKey::new("ns", format!("s{n}"))), service(), 0..6);
    (services, slices()).prop_map(|(services, slices)| {
        let node = Node { internal_ips: vec!["192.0.2.1".parse().unwrap()], ..Node::default() };
        let services = services.into_iter().collect();
        Snapshot { services, slices, nodes: [("n1".to_owned(), node)].into(), refused: [].into() }
    })
}

/// The same Services while their endpoints change.
pub(crate) fn churn() -> impl Strategy<Value = Vec<Snapshot>> {
    (snapshot(), collection::vec(slices(), 1..6)).prop_map(|(first, slices)| {
        slices.into_iter().map(|slices| Snapshot { slices, ..first.clone() }).collect()
    })
}

/// Maps that anyone may have written anything into.
pub(crate) fn junk() -> impl Strategy<Value = Tables> {
    let key = (
        sample::select(vec![[203, 0, 113, 1], [203, 0, 113, 2], [192, 0, 2, 1], [1, 2, 3, 4]]),
        0u16..3,
        0u8..8,
    )
        .prop_map(|(address, port, protocol)| {
            let port = [0, 80u16.to_be(), 30_000u16.to_be()][usize::from(port)];
            ServiceKey::new(
                IpAddr::from(address).into(),
                port,
                [0, 6, 6, 6, 17, 17, 6, 132][usize::from(protocol)],
            )
        });
    let sizes = sample::select(vec![0, 7, 251, 251, 509, 131_071, u32::MAX]);
    let entry = (0u32..8, 0u32..64, sizes, 0u32..64).prop_map(|(id, ring, ring_size, flags)| Entry {
        id,
        ring,
        ring_size,
        flags,
        ..Entry::default()
    });
    let backend = (0u8..10, 8080u16..8082, sample::select(vec![0, 6, 6, 17]), 0u8..4, 0u32..3).prop_map(
        |(last, port, protocol, flags, generation)| Backend {
            address: if last == 0 {
                lb_common::address::Address::NONE
            } else {
                IpAddr::from([10, 0, 0, last]).into()
            },
            port_be: port.to_be(),
            protocol,
            flags,
            generation,
            ..Backend::default()
        },
    );
    let name = sample::select(vec!["ns/s0", "ns/s0:http", "ns/s1", "ns/s2:dns", "gone/gone"])
        .prop_map(str::to_owned);
    let ring = collection::vec(0u32..8, 251..252).prop_map(Into::into);
    (
        collection::btree_map(key, entry, 0..8),
        collection::btree_map(0u32..8, backend, 0..8),
        collection::btree_map((0u32..4).prop_map(|n| n * 16), ring, 0..3),
        collection::btree_map(0u32..8, name, 0..4),
    )
        .prop_map(|(services, backends, rings, names)| Tables { services, backends, rings, names })
}

pub(crate) fn decide(snapshot: &Snapshot) -> Desired {
    desired(snapshot, &config())
}

/// Panics where a packet could be led astray: a ring that is not whole, a slot without an endpoint, a frontend
/// without a name.
pub(crate) fn assert_sound(tables: &Tables) {
    for (key, service) in &tables.services {
        if service.ring_size > 0 {
            let ring =
                tables.rings.get(&service.ring).unwrap_or_else(|| panic!("{key:?}: no ring for {service:?}"));
            assert_eq!(ring.len(), service.ring_size as usize, "{key:?}");
            let free =
                |slot: &&u32| tables.backends.get(slot).is_none_or(|backend| backend.address.is_none());
            assert_eq!(ring.iter().find(free), None, "{key:?}: a slot without an endpoint");
        }
        assert!(
            service.id == 0 || tables.names.contains_key(&service.id),
            "{key:?}: id {} has no name",
            service.id
        );
    }
}

/// What tables mean, numbers and endpoints outside all rings left out.
pub(crate) fn meaning(tables: &Tables) -> Explanation {
    let mut meaning = explain(tables);
    meaning.services.iter_mut().for_each(|service| service.id = 0);
    let members: BTreeSet<_> = meaning
        .services
        .iter()
        .flat_map(|service| &service.endpoints)
        .filter_map(|share| share.backend)
        .collect();
    meaning.backends.retain(|view| members.contains(&view.backend));
    for view in &mut meaning.backends {
        (view.index, view.generation) = (0, 0);
    }
    meaning
}
