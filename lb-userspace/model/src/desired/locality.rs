//! Where endpoints are, seen from this node.

use std::net::IpAddr;

use crate::{
    config::NodeConfig,
    object::{Endpoint, IpFamily, Node, Snapshot},
};

/// This node among the others.
pub(super) struct Locality<'a> {
    config: &'a NodeConfig,
    snapshot: &'a Snapshot,
    own: Option<&'a Node>,
}

impl<'a> Locality<'a> {
    pub(super) fn new(snapshot: &'a Snapshot, config: &'a NodeConfig) -> Self {
        Self { config, snapshot, own: snapshot.nodes.get(&config.node_name) }
    }

    /// True where the endpoint is on this node.
    pub(super) fn is_local(&self, endpoint: &Endpoint) -> bool {
        let in_pod_cidr = || {
            let mut pod_cidrs = self.own.iter().flat_map(|node| &node.pod_cidrs);
            pod_cidrs.any(|cidr| cidr.contains(endpoint.address))
        };
        endpoint.node.as_ref().map_or_else(in_pod_cidr, |node| *node == self.config.node_name)
            || self.config.owns(endpoint.address)
    }

    /// The InternalIP, of the endpoint's family, of its node.
    pub(super) fn node_address(&self, endpoint: &Endpoint) -> Option<IpAddr> {
        let node = self.snapshot.nodes.get(endpoint.node.as_ref()?)?;
        let family = IpFamily::of(endpoint.address);
        node.internal_ips.iter().copied().find(|address| IpFamily::of(*address) == family)
    }

    /// True where one of `nodes` is this one.
    pub(super) fn is_among_nodes(&self, nodes: &[String]) -> bool {
        nodes.contains(&self.config.node_name)
    }

    /// True where one of `zones` is this node's.
    pub(super) fn is_among_zones(&self, zones: &[String]) -> bool {
        self.own.and_then(|node| node.zone.as_ref()).is_some_and(|zone| zones.contains(zone))
    }
}
