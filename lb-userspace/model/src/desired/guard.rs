//! Addresses that must never become a VIP: whoever may write a Service could take over traffic that is not theirs
//! (CVE-2020-8554).

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use crate::{
    cidr::Cidr,
    config::NodeConfig,
    object::{ObjectKey, Snapshot},
    refusal::reason,
};

/// Every address that is somebody's already.
pub(super) struct Guard<'a> {
    config: &'a NodeConfig,
    nodes: BTreeMap<IpAddr, &'a str>,
    cluster_ips: BTreeMap<IpAddr, &'a ObjectKey>,
    pod_cidrs: Vec<(Cidr, &'a str)>,
    /// Those of the asked-for VIPs that are a pod's outside all podCIDRs, with the age and name of the oldest slice.
    ///
    /// Slices that people write do not count: whoever may write one could else take away anybody's VIP by listing it.
    /// Nor does a slice that is younger than the Service, as far as both ages are known: its label is only a claim.
    pods: BTreeMap<IpAddr, (i64, &'a ObjectKey)>,
}

/// Why an address is no VIP: a reason, and what the address is, to follow "which is".
pub(super) type Objection = (&'static str, String);

impl<'a> Guard<'a> {
    pub(super) fn new(snapshot: &'a Snapshot, config: &'a NodeConfig) -> Self {
        let services = &snapshot.services;
        let vips: BTreeSet<IpAddr> = services
            .values()
            .flat_map(|service| service.external_ips.iter().chain(&service.load_balancer_ips))
            .copied()
            .collect();
        let mut guard = Self {
            config,
            nodes: BTreeMap::new(),
            cluster_ips: services
                .iter()
                .flat_map(|(key, service)| service.cluster_ips.iter().map(move |address| (*address, key)))
                .collect(),
            pod_cidrs: Vec::new(),
            pods: BTreeMap::new(),
        };
        for (name, node) in &snapshot.nodes {
            guard.nodes.extend(node.addresses().map(|address| (address, name.as_str())));
            guard.pod_cidrs.extend(node.pod_cidrs.iter().map(|cidr| (*cidr, name.as_str())));
        }
        if !vips.is_empty() {
            for (key, slice) in snapshot.slices.iter().filter(|(_, slice)| slice.lists_pods) {
                for pod in slice.endpoints.iter().filter(|endpoint| vips.contains(&endpoint.address)) {
                    let oldest = guard.pods.entry(pod.address).or_insert((slice.created, key));
                    *oldest = (*oldest).min((slice.created, key));
                }
            }
        }
        guard
    }

    /// What speaks against serving `ip` for a Service of the age `created`.
    pub(super) fn objection(&self, ip: IpAddr, created: i64) -> Option<Objection> {
        if let Some(node) = self.nodes.get(&ip) {
            return Some((reason::FRONTEND_IS_NODE_ADDRESS, format!("an address of Node {node}")));
        }
        if self.config.owns(ip) {
            let what = format!("an address of a device of this node ({})", self.config.node_name);
            return Some((reason::FRONTEND_IS_NODE_ADDRESS, what));
        }
        if let Some(service) = self.cluster_ips.get(&ip) {
            return Some((reason::FRONTEND_IS_CLUSTER_IP, format!("the ClusterIP of Service {service}")));
        }
        if let Some((cidr, node)) = self.pod_cidrs.iter().find(|(cidr, _)| cidr.contains(ip)) {
            return Some((
                reason::FRONTEND_IS_POD_ADDRESS,
                format!("inside the podCIDR {cidr} of Node {node}"),
            ));
        }
        let is_older = |slice_created| slice_created == 0 || created == 0 || slice_created <= created;
        if let Some((_, slice)) = self.pods.get(&ip).filter(|(slice_created, _)| is_older(*slice_created)) {
            return Some((reason::FRONTEND_IS_POD_ADDRESS, format!("a pod of EndpointSlice {slice}")));
        }
        is_special(ip)
            .then(|| (reason::FRONTEND_IS_SPECIAL_ADDRESS, "reserved for special use (RFC 6890)".to_owned()))
    }
}

/// Addresses that the API server refuses as external IPs too (`ValidateNonSpecialIP`), and those that no unicast
/// packet carries.
fn is_special(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            address.octets()[0] == 0
                || address.is_loopback()
                || address.is_link_local()
                || address.is_multicast()
                || address.is_broadcast()
        }
        IpAddr::V6(address) => {
            address.is_unspecified()
                || address.is_loopback()
                || address.is_unicast_link_local()
                || address.is_multicast()
                || address.to_ipv4_mapped().is_some()
        }
    }
}
