//! What tables mean, in the terms of Kubernetes.

use std::{collections::BTreeMap, net::IpAddr};

use lb_common::{
    backend::{BACKEND_LOCAL, BACKEND_TERMINATING},
    service::{
        SERVICE_CATCH_ALL, SERVICE_EXTERNAL_IP, SERVICE_LOAD_BALANCER, SERVICE_LOCAL, SERVICE_NODE_PORT,
        Service, ServiceKey,
    },
};
use serde::Serialize;

use crate::{backend_id::BackendId, object::Protocol, op::Tables};

/// The contents of tables, sorted for readers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// Service ports by name.
    pub services: Vec<ServiceView>,
    /// VIPs whose other ports are answered as closed.
    pub vips: Vec<IpAddr>,
    /// Endpoints in use, by address.
    pub backends: Vec<BackendView>,
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
    /// Where clients reach it.
    pub frontends: Vec<FrontendView>,
    /// Slots of the ring.
    pub ring_size: u32,
    /// Who holds how many slots.
    pub endpoints: Vec<Share>,
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
    /// Index.
    pub index: u32,
    /// Generation.
    pub generation: u32,
}

/// Reads tables for people.
pub fn explain(tables: &Tables) -> Explanation {
    let mut explanation = Explanation::default();
    let mut states: BTreeMap<(u32, u32, u32, bool), Vec<FrontendView>> = BTreeMap::new();
    for (key, service) in &tables.services {
        if service.flags & SERVICE_CATCH_ALL != 0 {
            explanation.vips.push(key.address.into());
        } else if let Some(frontend) = frontend(key, service) {
            let local = service.flags & SERVICE_LOCAL != 0;
            states.entry((service.id, service.ring, service.ring_size, local)).or_default().push(frontend);
        }
    }
    for ((id, ring, ring_size, local), mut frontends) in states {
        frontends.sort_unstable();
        let name = tables.names.get(&id).cloned().unwrap_or_default();
        let endpoints = if ring_size == 0 { Vec::new() } else { shares(tables, ring) };
        explanation.services.push(ServiceView { name, id, local, frontends, ring_size, endpoints });
    }
    explanation.services.sort_unstable();
    explanation.vips.sort_unstable();
    explanation.backends = backends(tables);
    explanation
}

fn frontend(key: &ServiceKey, service: &Service) -> Option<FrontendView> {
    let kinds = [
        (SERVICE_NODE_PORT, "NodePort"),
        (SERVICE_EXTERNAL_IP, "ExternalIP"),
        (SERVICE_LOAD_BALANCER, "LoadBalancer"),
    ];
    let kinds =
        kinds.into_iter().filter(|(flag, _)| service.flags & flag != 0).map(|(_, kind)| kind).collect();
    let protocol = Protocol::from_number(key.protocol)?;
    Some(FrontendView { address: key.address.into(), port: u16::from_be(key.port_be), protocol, kinds })
}

fn shares(tables: &Tables, ring: u32) -> Vec<Share> {
    let mut slots: BTreeMap<Option<BackendId>, u32> = BTreeMap::new();
    for index in tables.rings.get(&ring).into_iter().flat_map(|ring| ring.iter()) {
        *slots.entry(tables.backends.get(index).and_then(BackendId::of)).or_default() += 1;
    }
    slots.into_iter().map(|(backend, slots)| Share { backend, slots }).collect()
}

fn backends(tables: &Tables) -> Vec<BackendView> {
    let view = |(index, entry): (&u32, &lb_common::backend::Backend)| {
        Some(BackendView {
            backend: BackendId::of(entry)?,
            local: entry.flags & BACKEND_LOCAL != 0,
            draining: entry.flags & BACKEND_TERMINATING != 0,
            index: *index,
            generation: entry.generation,
        })
    };
    let mut backends: Vec<_> = tables.backends.iter().filter_map(view).collect();
    backends.sort_unstable();
    backends
}
