//! What tables mean, in the terms of Kubernetes.

use std::{collections::BTreeMap, net::IpAddr};

use lb_common::{
    backend::{BACKEND_LOCAL, BACKEND_TERMINATING, Backend},
    service::{
        SERVICE_CATCH_ALL, SERVICE_DSR, SERVICE_EXTERNAL_IP, SERVICE_LOAD_BALANCER, SERVICE_LOCAL,
        SERVICE_NODE_PORT, SERVICE_SOURCE_RANGES, Service, ServiceKey,
    },
};
use serde::Serialize;

use crate::{backend_id::BackendId, cidr::Cidr, object::Protocol, op::Tables};

/// The contents of tables, sorted for readers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// Service ports by name.
    pub services: Vec<ServiceView>,
    /// VIPs whose other ports are answered as closed.
    pub vips: Vec<IpAddr>,
    /// Endpoints in use, by address.
    pub backends: Vec<BackendView>,
    /// Nodes that encapsulated packets may come from.
    pub peers: Vec<IpAddr>,
}

/// A Service port, or one of its states where the tables are between two.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct ServiceView {
    /// `namespace/name:port`; empty where the tables have no name for the id.
    pub name: String,
    /// Service id.
    pub id: u32,
    /// `externalTrafficPolicy: Local`.
    pub local: bool,
    /// Seconds of `sessionAffinity: ClientIP`, 0 without.
    pub affinity_seconds: u32,
    /// Where clients reach it.
    pub frontends: Vec<FrontendView>,
    /// Who may use the frontends that are guarded by source ranges.
    pub source_ranges: Vec<Cidr>,
    /// The ring for clients.
    pub ring: RingView,
    /// The ring for packets that other nodes have encapsulated.
    pub local_ring: RingView,
}

/// A frontend.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct FrontendView {
    /// Address.
    pub address: IpAddr,
    /// Port.
    pub port: u16,
    /// Protocol.
    pub protocol: Protocol,
    /// `NodePort`, `ExternalIP`, `LoadBalancer`: one address may be several.
    pub kinds: Vec<&'static str>,
    /// Only clients in the Service's source ranges get in.
    pub guarded: bool,
    /// Packets to endpoints of other nodes are encapsulated.
    pub dsr: bool,
}

/// A ring.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct RingView {
    /// Slots, 0 where there is no ring.
    pub size: u32,
    /// Who holds how many slots.
    pub shares: Vec<Share>,
}

/// An endpoint's part of a ring.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Share {
    /// The endpoint; none where a slot points to a free index.
    pub backend: Option<BackendId>,
    /// Slots.
    pub slots: u32,
}

/// An endpoint in use.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct BackendView {
    /// The endpoint.
    pub backend: BackendId,
    /// On this node.
    pub local: bool,
    /// Takes new flows only where nothing else serves.
    pub draining: bool,
    /// Address of its node, where that is known.
    pub node: Option<IpAddr>,
    /// Index.
    pub index: u32,
    /// Generation.
    pub generation: u32,
}

/// Reads tables for people.
pub fn explain(tables: &Tables) -> Explanation {
    let mut explanation = Explanation::default();
    let mut states: BTreeMap<_, (Service, Vec<FrontendView>)> = BTreeMap::new();
    for (key, service) in &tables.services {
        if service.flags & SERVICE_CATCH_ALL != 0 {
            explanation.vips.push(key.address.into());
        } else if let Some(frontend) = frontend(key, service) {
            states.entry(state(service)).or_insert((*service, Vec::new())).1.push(frontend);
        }
    }
    for (service, mut frontends) in states.into_values() {
        frontends.sort_unstable();
        explanation.services.push(ServiceView {
            name: tables.names.get(&service.id).cloned().unwrap_or_default(),
            id: service.id,
            local: service.flags & SERVICE_LOCAL != 0,
            affinity_seconds: service.affinity,
            source_ranges: source_ranges(tables, service.id),
            frontends,
            ring: ring(tables, service.ring, service.ring_size),
            local_ring: ring(tables, service.local_ring, service.local_ring_size),
        });
    }
    explanation.services.sort_unstable();
    explanation.vips.sort_unstable();
    explanation.backends = backends(tables);
    explanation.peers = tables.peers.iter().map(|peer| IpAddr::from(*peer)).collect();
    explanation.peers.sort_unstable();
    explanation
}

/// What the frontends of a Service port have in common while the tables are not between two states.
fn state(service: &Service) -> impl Ord + use<> {
    let rings = (service.ring, service.ring_size, service.local_ring, service.local_ring_size);
    (service.id, rings, service.flags & SERVICE_LOCAL, service.affinity)
}

fn frontend(key: &ServiceKey, service: &Service) -> Option<FrontendView> {
    let kinds = [
        (SERVICE_NODE_PORT, "NodePort"),
        (SERVICE_EXTERNAL_IP, "ExternalIP"),
        (SERVICE_LOAD_BALANCER, "LoadBalancer"),
    ];
    let has = |flag| service.flags & flag != 0;
    Some(FrontendView {
        address: key.address.into(),
        port: u16::from_be(key.port_be),
        protocol: Protocol::from_number(key.protocol)?,
        kinds: kinds.into_iter().filter(|(flag, _)| has(*flag)).map(|(_, kind)| kind).collect(),
        guarded: has(SERVICE_SOURCE_RANGES),
        dsr: has(SERVICE_DSR),
    })
}

fn source_ranges(tables: &Tables, id: u32) -> Vec<Cidr> {
    let keys = tables.source_ranges.iter().filter(|key| key.service() == id);
    let mut ranges: Vec<_> = keys.map(|key| Cidr::holding(key.address.into(), key.bits())).collect();
    ranges.sort_unstable();
    ranges
}

fn ring(tables: &Tables, chunk: u32, size: u32) -> RingView {
    let mut slots: BTreeMap<Option<BackendId>, u32> = BTreeMap::new();
    let ring = tables.rings.get(&chunk).filter(|_| size > 0);
    for index in ring.into_iter().flat_map(|ring| ring.iter()) {
        *slots.entry(tables.backends.get(&index).and_then(BackendId::of)).or_default() += 1;
    }
    RingView { size, shares: slots.into_iter().map(|(backend, slots)| Share { backend, slots }).collect() }
}

fn backends(tables: &Tables) -> Vec<BackendView> {
    let view = |(index, entry): (&u32, &Backend)| {
        Some(BackendView {
            backend: BackendId::of(entry)?,
            local: entry.flags & BACKEND_LOCAL != 0,
            draining: entry.flags & BACKEND_TERMINATING != 0,
            node: Some(entry.node).filter(|node| !node.is_none()).map(IpAddr::from),
            index: *index,
            generation: entry.generation,
        })
    };
    let mut backends: Vec<_> = tables.backends.iter().filter_map(view).collect();
    backends.sort_unstable();
    backends
}
