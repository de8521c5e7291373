//! Addresses that must never become a VIP: whoever may write a Service could take over traffic that is not theirs
//! (CVE-2020-8554).

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use crate::{
    cidr::Cidr,
    config::NodeConfig,
    object::{EndpointSlice, Node, ObjectKey, Service, Snapshot},
    persistent_map::{Change, PersistentMap},
    refusal::reason,
};

/// Every address that is somebody's already.
#[derive(Debug, Default)]
pub(super) struct Guard {
    nodes: BTreeMap<IpAddr, String>,
    pod_cidrs: Vec<(Cidr, String)>,
    cluster_ips: Holders,
    /// The asked-for VIPs, with the Services that ask.
    vips: Holders,
    /// Those of the asked-for VIPs that are a pod's outside all podCIDRs, with the ages and names of the slices.
    ///
    /// Slices that people write do not count: whoever may write one could else take away anybody's VIP by listing it.
    /// Nor does a slice that is younger than the Service, as far as both ages are known: its label is only a claim.
    pods: BTreeMap<IpAddr, BTreeSet<(i64, ObjectKey)>>,
}

/// Addresses and the Services that have them, sorted.
type Holders = BTreeSet<(IpAddr, Option<Arc<ObjectKey>>)>;

/// Why an address is no VIP: a reason, and what the address is, to follow "which is".
pub(super) type Objection = (&'static str, String);

impl Guard {
    /// A guard that knows the nodes and nothing else.
    pub(super) fn new(nodes: &PersistentMap<String, Node>) -> Self {
        let mut guard = Self::default();
        for (name, node) in nodes {
            guard.nodes.extend(node.addresses().map(|address| (address, name.clone())));
            guard.pod_cidrs.extend(node.pod_cidrs.iter().map(|cidr| (*cidr, name.clone())));
        }
        guard
    }

    /// Follows Services and slices from one snapshot to the next of the same nodes; the Services of `after` whose VIPs
    /// may be judged differently now.
    pub(super) fn follow(&mut self, before: &Snapshot, after: &Snapshot) -> BTreeSet<Arc<ObjectKey>> {
        // Addresses that became somebody's or are nobody's any more, and VIPs that nobody asked for before.
        let (mut moved, mut asked) = (BTreeSet::new(), BTreeSet::new());
        for Change { key, before, after } in after.services.changes_since(&before.services) {
            let object = Arc::new(key.clone());
            let (before, after) = (before.map(|entry| &entry.1), after.map(|entry| &entry.1));
            let cluster_ips = |service: Option<&Service>| -> BTreeSet<IpAddr> {
                service.iter().flat_map(|service| &service.cluster_ips).copied().collect()
            };
            let (old, new) = (cluster_ips(before), cluster_ips(after));
            for address in old.symmetric_difference(&new) {
                moved.insert(*address);
                hold(&mut self.cluster_ips, *address, &object, new.contains(address));
            }
            let (old, new) = (vips(before), vips(after));
            for address in old.symmetric_difference(&new) {
                if holders(&self.vips, *address).next().is_none() {
                    asked.insert(*address);
                }
                hold(&mut self.vips, *address, &object, new.contains(address));
                if holders(&self.vips, *address).next().is_none() {
                    self.pods.remove(address);
                }
            }
        }
        if !asked.is_empty() {
            for (key, slice) in &before.slices {
                for address in pods(slice).filter(|address| asked.contains(address)) {
                    self.pods.entry(address).or_default().insert((slice.created, key.clone()));
                }
            }
        }
        for Change { before, after, .. } in after.slices.changes_since(&before.slices) {
            for (entry, is_there) in [(before, false), (after, true)] {
                let Some((key, slice)) = entry.map(|entry| &**entry) else { continue };
                for address in pods(slice).filter(|address| holders(&self.vips, *address).next().is_some()) {
                    moved.insert(address);
                    let slices = self.pods.entry(address).or_default();
                    if is_there {
                        slices.insert((slice.created, key.clone()));
                    } else {
                        slices.remove(&(slice.created, key.clone()));
                    }
                }
            }
        }
        moved.iter().flat_map(|address| holders(&self.vips, *address)).cloned().collect()
    }

    /// What speaks against serving `ip` for a Service of the age `created`.
    pub(super) fn objection(&self, ip: IpAddr, created: i64, config: &NodeConfig) -> Option<Objection> {
        if let Some(node) = self.nodes.get(&ip) {
            return Some((reason::FRONTEND_IS_NODE_ADDRESS, format!("an address of Node {node}")));
        }
        if config.owns(ip) {
            let what = format!("an address of a device of this node ({})", config.node_name);
            return Some((reason::FRONTEND_IS_NODE_ADDRESS, what));
        }
        if let Some(service) = holders(&self.cluster_ips, ip).last() {
            return Some((reason::FRONTEND_IS_CLUSTER_IP, format!("the ClusterIP of Service {service}")));
        }
        if let Some((cidr, node)) = self.pod_cidrs.iter().find(|(cidr, _)| cidr.contains(ip)) {
            return Some((
                reason::FRONTEND_IS_POD_ADDRESS,
                format!("inside the podCIDR {cidr} of Node {node}"),
            ));
        }
        let is_older = |slice_created| slice_created == 0 || created == 0 || slice_created <= created;
        let oldest = self.pods.get(&ip).and_then(BTreeSet::first);
        if let Some((_, slice)) = oldest.filter(|(slice_created, _)| is_older(*slice_created)) {
            return Some((reason::FRONTEND_IS_POD_ADDRESS, format!("a pod of EndpointSlice {slice}")));
        }
        is_special(ip)
            .then(|| (reason::FRONTEND_IS_SPECIAL_ADDRESS, "reserved for special use (RFC 6890)".to_owned()))
    }
}

fn vips(service: Option<&Service>) -> BTreeSet<IpAddr> {
    let service = service.iter();
    service
        .flat_map(|service| service.external_ips.iter().chain(&service.load_balancer_ips))
        .copied()
        .collect()
}

fn pods(slice: &EndpointSlice) -> impl Iterator<Item = IpAddr> {
    slice.endpoints.iter().filter(|_| slice.lists_pods).map(|endpoint| endpoint.address)
}

fn hold(holders: &mut Holders, address: IpAddr, object: &Arc<ObjectKey>, holds: bool) {
    let holder = (address, Some(object.clone()));
    if holds {
        holders.insert(holder);
    } else {
        holders.remove(&holder);
    }
}

fn holders(holders: &Holders, address: IpAddr) -> impl Iterator<Item = &Arc<ObjectKey>> {
    let behind = holders.range((address, None)..);
    behind.take_while(move |(other, _)| *other == address).filter_map(|(_, object)| object.as_ref())
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
