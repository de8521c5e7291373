//! Which endpoints a Service port has, and which of them take new flows.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
};

use lb_common::backend::{BACKEND_LOCAL, BACKEND_TERMINATING};

use crate::{
    backend_id::BackendId,
    cidr::Cidr,
    config::NodeConfig,
    object::{Endpoint, EndpointSlice, ObjectKey, Protocol, ServicePort, Snapshot, TrafficPolicy},
};

/// EndpointSlices by the Service that they belong to.
pub(super) struct SlicesByService<'a> {
    /// Sorted by namespace and Service.
    slices: Vec<(&'a str, &'a EndpointSlice)>,
}

impl<'a> SlicesByService<'a> {
    pub(super) fn new(snapshot: &'a Snapshot) -> Self {
        let mut slices: Vec<_> =
            snapshot.slices.iter().map(|(key, slice)| (key.namespace.as_str(), slice)).collect();
        slices.sort_by_key(|(namespace, slice)| (*namespace, slice.service.as_str()));
        Self { slices }
    }

    /// The slices of one Service.
    pub(super) fn of(&self, service: &ObjectKey) -> &[(&'a str, &'a EndpointSlice)] {
        let wanted = (service.namespace.as_str(), service.name.as_str());
        let first =
            self.slices.partition_point(|(namespace, slice)| (*namespace, slice.service.as_str()) < wanted);
        let rest = &self.slices[first..];
        let count = rest
            .iter()
            .take_while(|(namespace, slice)| (*namespace, slice.service.as_str()) == wanted)
            .count();
        &rest[..count]
    }
}

/// Tells which endpoints are on this node.
pub(super) struct Locality<'a> {
    config: &'a NodeConfig,
    pod_cidrs: Vec<Cidr>,
}

impl<'a> Locality<'a> {
    pub(super) fn new(snapshot: &Snapshot, config: &'a NodeConfig) -> Self {
        let node = snapshot.nodes.get(&config.node_name);
        let pod_cidrs = node.map(|node| node.pod_cidrs.clone()).unwrap_or_default();
        Self { config, pod_cidrs }
    }

    pub(super) fn is_local(&self, endpoint: &Endpoint) -> bool {
        let in_pod_cidr = || self.pod_cidrs.iter().any(|cidr| cidr.contains(endpoint.address));
        endpoint.node.as_ref().map_or_else(in_pod_cidr, |node| *node == self.config.node_name)
            || self.config.owns(endpoint.address)
    }
}

/// What an endpoint is good for, from bad to good: of duplicates the best counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fitness {
    /// Neither ready nor serving while it terminates.
    Unfit,
    /// Takes new flows only where nothing is ready.
    ServingTerminating,
    /// Takes new flows.
    Ready,
}

/// An endpoint of a Service port.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    id: BackendId,
    fitness: Fitness,
    local: bool,
}

/// Every endpoint behind `port`, once each, in ring order. Slices match by the port's name and protocol, so that a
/// named target port may have another number in each slice.
pub(super) fn candidates(
    slices: &[(&str, &EndpointSlice)],
    port: &ServicePort,
    locality: &Locality<'_>,
) -> Vec<Candidate> {
    let mut candidates: Vec<Candidate> = Vec::new();
    for (_, slice) in slices {
        let ports =
            slice.ports.iter().filter(|other| other.name == port.name && other.protocol == port.protocol);
        for number in ports.map(|port| port.port) {
            candidates.extend(slice.endpoints.iter().filter_map(|endpoint| {
                let address = ipv4(endpoint)?;
                let fitness = match endpoint {
                    Endpoint { ready: true, .. } => Fitness::Ready,
                    Endpoint { serving: true, terminating: true, .. } => Fitness::ServingTerminating,
                    _ => Fitness::Unfit,
                };
                let id = BackendId { address: address.into(), port: number, protocol: port.protocol };
                Some(Candidate { id, fitness, local: locality.is_local(endpoint) })
            }));
        }
    }
    candidates.sort_unstable_by_key(|candidate| candidate.id);
    candidates.dedup_by(merge);
    if port.protocol == Protocol::Udp {
        // TCP connections stay with an endpoint that serves no more until it is deleted; UDP flows have no end of
        // their own and must move on (kube-proxy `pkg/proxy/conntrack/cleanup.go`).
        candidates.retain(|candidate| candidate.fitness > Fitness::Unfit);
    }
    candidates
}

fn ipv4(endpoint: &Endpoint) -> Option<Ipv4Addr> {
    match endpoint.address {
        IpAddr::V4(address) => Some(address).filter(|address| !address.is_unspecified()),
        IpAddr::V6(_) => None,
    }
}

fn merge(duplicate: &mut Candidate, kept: &mut Candidate) -> bool {
    let same = duplicate.id == kept.id;
    if same {
        kept.fitness = kept.fitness.max(duplicate.fitness);
        kept.local |= duplicate.local;
    }
    same
}

/// Divides endpoints into those that take new flows and the rest: the ready ones, or else those that serve while they
/// terminate (KEP-1669). With `Local`, this is decided among this node's endpoints alone.
pub(super) fn select(candidates: &[Candidate], policy: TrafficPolicy) -> (Vec<BackendId>, Vec<BackendId>) {
    let eligible = |candidate: &&Candidate| policy == TrafficPolicy::Cluster || candidate.local;
    let best = candidates.iter().filter(eligible).map(|candidate| candidate.fitness).max();
    let best = best.filter(|fitness| *fitness > Fitness::Unfit);
    let (members, rest): (Vec<&Candidate>, Vec<&Candidate>) =
        candidates.iter().partition(|candidate| eligible(candidate) && Some(candidate.fitness) == best);
    let ids = |candidates: Vec<&Candidate>| candidates.into_iter().map(|candidate| candidate.id).collect();
    (ids(members), ids(rest))
}

/// The `BACKEND_*` flags of endpoints, which several Service ports may share.
#[derive(Default)]
pub(super) struct Flags {
    noted: Vec<Candidate>,
}

impl Flags {
    pub(super) fn note(&mut self, candidates: &[Candidate]) {
        self.noted.extend_from_slice(candidates);
    }

    pub(super) fn merged(mut self) -> BTreeMap<BackendId, u8> {
        self.noted.sort_unstable_by_key(|candidate| candidate.id);
        self.noted.dedup_by(merge);
        let flags = |candidate: &Candidate| {
            let local = if candidate.local { BACKEND_LOCAL } else { 0 };
            let terminating = if candidate.fitness == Fitness::Ready { 0 } else { BACKEND_TERMINATING };
            local | terminating
        };
        self.noted.iter().map(|candidate| (candidate.id, flags(candidate))).collect()
    }
}
