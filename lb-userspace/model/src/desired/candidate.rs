//! The endpoints of a Service port, and what each is good for.

use std::net::IpAddr;

use lb_common::backend::{BACKEND_LOCAL, BACKEND_TERMINATING};

use super::{DesiredBackend, locality::Locality};
use crate::{
    backend_id::BackendId,
    object::{Endpoint, EndpointSlice, IpFamily, Protocol, ServicePort},
};

/// What an endpoint is good for, from bad to good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fitness {
    /// Neither ready nor serving while it terminates.
    Unfit,
    /// Takes new flows only where nothing is ready.
    ServingTerminating,
    /// Takes new flows.
    Ready,
}

/// For whom an endpoint is, by a kind of its hints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Hint {
    /// It has none.
    Missing,
    /// For others.
    Elsewhere,
    /// For this node, or this zone.
    Here,
}

/// An endpoint of a Service port. Of duplicates the better counts, in each respect.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    pub(super) id: BackendId,
    pub(super) fitness: Fitness,
    pub(super) local: bool,
    /// `hints.forNodes`.
    pub(super) node_hint: Hint,
    /// `hints.forZones`.
    pub(super) zone_hint: Hint,
    /// Address of the endpoint's node.
    node: Option<IpAddr>,
}

impl Candidate {
    fn new(id: BackendId, endpoint: &Endpoint, locality: &Locality<'_>) -> Self {
        let fitness = match endpoint {
            Endpoint { ready: true, .. } => Fitness::Ready,
            Endpoint { serving: true, terminating: true, .. } => Fitness::ServingTerminating,
            _ => Fitness::Unfit,
        };
        let hint = |names: &[String], is_here| match (names.is_empty(), is_here) {
            (true, _) => Hint::Missing,
            (false, false) => Hint::Elsewhere,
            (false, true) => Hint::Here,
        };
        Self {
            id,
            fitness,
            local: locality.is_local(endpoint),
            node_hint: hint(&endpoint.for_nodes, locality.is_among_nodes(&endpoint.for_nodes)),
            zone_hint: hint(&endpoint.for_zones, locality.is_among_zones(&endpoint.for_zones)),
            node: locality.node_address(endpoint),
        }
    }

    /// What the maps say of the endpoint.
    pub(super) fn backend(&self) -> DesiredBackend {
        let local = if self.local { BACKEND_LOCAL } else { 0 };
        let terminating = if self.fitness == Fitness::Ready { 0 } else { BACKEND_TERMINATING };
        DesiredBackend { flags: local | terminating, node: self.node }
    }

    fn merge(duplicate: &mut Self, kept: &mut Self) -> bool {
        let same = duplicate.id == kept.id;
        if same {
            kept.fitness = kept.fitness.max(duplicate.fitness);
            kept.local |= duplicate.local;
            kept.node_hint = kept.node_hint.max(duplicate.node_hint);
            kept.zone_hint = kept.zone_hint.max(duplicate.zone_hint);
            kept.node = kept.node.max(duplicate.node);
        }
        same
    }
}

/// Every endpoint of one family behind `port`, once each, in ring order. Slices match by the port's name and
/// protocol, so that a named target port may have another number in each slice.
pub(super) fn candidates<'a>(
    slices: impl Iterator<Item = &'a EndpointSlice>,
    port: &ServicePort,
    family: IpFamily,
    locality: &Locality<'_>,
) -> Vec<Candidate> {
    let mut candidates: Vec<Candidate> = Vec::new();
    for slice in slices {
        let ports =
            slice.ports.iter().filter(|other| other.name == port.name && other.protocol == port.protocol);
        for number in ports.map(|port| port.port) {
            let endpoints =
                slice.endpoints.iter().filter(|endpoint| IpFamily::of(endpoint.address) == family);
            candidates.extend(endpoints.map(|endpoint| {
                let id = BackendId { address: endpoint.address, port: number, protocol: port.protocol };
                Candidate::new(id, endpoint, locality)
            }));
        }
    }
    candidates.sort_unstable_by_key(|candidate| candidate.id);
    candidates.dedup_by(Candidate::merge);
    if port.protocol == Protocol::Udp {
        // TCP connections and SCTP associations stay with an endpoint that serves no more until it is deleted; UDP
        // flows have no end of their own and must move on (kube-proxy `pkg/proxy/conntrack/cleanup.go`).
        candidates.retain(|candidate| candidate.fitness > Fitness::Unfit);
    }
    candidates
}
