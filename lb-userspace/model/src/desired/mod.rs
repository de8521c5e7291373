//! What the maps of this node should lead to, given everything the source knows.

mod candidate;

mod frontends;
mod guard;
pub mod health_check;
mod locality;
mod select;
mod slices;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, net::IpAddr};

use lb_common::service::{SERVICE_DSR, SERVICE_LOAD_BALANCER, ServiceKey};

use self::{candidate::Attributes, frontends::Owner, select::Selection};
use crate::{
    backend_id::BackendId,
    cidr::Cidr,
    config::NodeConfig,
    object::{IpFamily, ObjectKey, Refusal, ServicePort, Snapshot},
    ring_ref::Role,
};

/// Ends the name of a Service port's IPv6 side, which has an id, rings and counters of its own: nothing is ever
/// translated across families. No Kubernetes name has a space in it.
pub const IPV6_SUFFIX: &str = " IPv6";

/// Everything that should be served, and what is not and why.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Desired {
    /// Service ports with at least one frontend, by name.
    pub services: BTreeMap<String, DesiredService>,
    /// Every endpoint that `services` mention.
    pub backends: BTreeMap<BackendId, DesiredBackend>,
    /// Addresses of the nodes that may send encapsulated packets, with the Node: none while no Service asks for that.
    pub peers: BTreeMap<IpAddr, ObjectKey>,
    /// What was asked for and is not served, what the source refused included.
    pub refusals: Vec<Refusal>,
}

/// One address family of a Service port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DesiredService {
    /// The Service.
    pub object: ObjectKey,
    /// Where clients reach it.
    pub frontends: Vec<Frontend>,
    /// The endpoints that new flows go to, in ring order.
    pub members: Vec<BackendId>,
    /// Those of this node, for packets that another node has encapsulated; empty unless a frontend asks for that.
    pub local_members: Vec<BackendId>,
    /// The other endpoints that still exist: flows that were opened to them while they were members go on.
    pub draining: Vec<BackendId>,
    /// Seconds for which a client keeps its endpoint, 0 where it does not.
    pub affinity_seconds: u32,
    /// Who may use the frontends with `SERVICE_SOURCE_RANGES`, sorted.
    pub source_ranges: Vec<Cidr>,
}

impl DesiredService {
    /// The endpoints of a ring.
    pub fn members_of(&self, role: Role) -> &[BackendId] {
        match role {
            Role::Clients => &self.members,
            Role::Peers => &self.local_members,
        }
    }
}

/// An endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DesiredBackend {
    /// `BACKEND_*` flags.
    pub flags: u8,
    /// The InternalIP, of the endpoint's family, of its node.
    pub node: Option<IpAddr>,
}

/// An address, port and protocol that clients use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frontend {
    /// Where.
    pub key: ServiceKey,
    /// `SERVICE_*` flags.
    pub flags: u32,
}

/// Decides what this node serves.
pub fn desired(snapshot: &Snapshot, config: &NodeConfig) -> Desired {
    let mut refusals = snapshot.refused.to_vec();
    let owners = frontends::assign(snapshot, config, &mut refusals);
    let slices = slices::SlicesByService::new(snapshot);
    let locality = locality::Locality::new(snapshot, config);
    let mut attributes = Attributes::default();
    let mut services = BTreeMap::new();
    for Owner { object, service, port, frontends } in owners {
        let (v4, v6): (Vec<_>, Vec<_>) =
            frontends.into_iter().partition(|frontend| frontend.key.address.is_v4());
        for (family, frontends) in [(IpFamily::Ipv4, v4), (IpFamily::Ipv6, v6)] {
            if frontends.is_empty() {
                continue;
            }
            let candidates = candidate::candidates(slices.of(object), port, family, &locality);
            attributes.note(&candidates);
            let any = |flag| frontends.iter().any(|frontend| frontend.flags & flag != 0);
            let dsr = any(SERVICE_DSR);
            let Selection { members, local_members, draining } =
                select::select(&candidates, service.external_traffic_policy, dsr);
            let asked = service.source_ranges.iter().flatten().filter(|_| any(SERVICE_LOAD_BALANCER));
            let service = DesiredService {
                object: object.clone(),
                members,
                local_members,
                draining,
                affinity_seconds: service.affinity_seconds.unwrap_or_default(),
                source_ranges: asked.filter(|range| range.family() == family).copied().collect(),
                frontends,
            };
            services.insert(name(object, port, family), service);
        }
    }
    refusals.sort_unstable();
    refusals.dedup();
    Desired { peers: peers(&services, snapshot, config), services, backends: attributes.merged(), refusals }
}

/// `namespace/name:port`, without the colon where the port has no name.
fn name(object: &ObjectKey, port: &ServicePort, family: IpFamily) -> String {
    let suffix = if family == IpFamily::Ipv6 { IPV6_SUFFIX } else { "" };
    if port.name.is_empty() { format!("{object}{suffix}") } else { format!("{object}:{}{suffix}", port.name) }
}

/// The other nodes' addresses, where any frontend is to be served for packets that they have encapsulated.
fn peers(
    services: &BTreeMap<String, DesiredService>,
    snapshot: &Snapshot,
    config: &NodeConfig,
) -> BTreeMap<IpAddr, ObjectKey> {
    let frontends = || services.values().flat_map(|service| &service.frontends);
    if !frontends().any(|frontend| frontend.flags & SERVICE_DSR != 0) {
        return BTreeMap::new();
    }
    let others = snapshot.nodes.iter().filter(|(name, _)| **name != config.node_name);
    others
        .flat_map(|(name, node)| node.addresses().map(move |address| (address, ObjectKey::new("", name))))
        .filter(|(address, _)| !config.owns(*address))
        .collect()
}
