//! What the maps of this node should lead to, given everything the source knows.

mod attributes;
mod candidate;
mod claims;
mod decisions;
mod guard;
pub mod health_check;
mod locality;
mod ownership;
mod port;
mod select;
mod slices;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, net::IpAddr};

use lb_common::{name::NAME_LEN, service::ServiceKey};

pub use self::decisions::{Changes, Decisions};
use crate::{
    backend_id::BackendId,
    cidr::Cidr,
    config::NodeConfig,
    object::{ObjectKey, Refusal, Snapshot},
    ring_ref::Role,
};

/// Ends the name of a Service port's IPv6 side, which has an id, rings and counters of its own: nothing is ever
/// translated across families. No Kubernetes name has a space in it.
pub const IPV6_SUFFIX: &str = " IPv6";

/// Namespace, Service and port have names of at most 63 characters: a name that the maps cut would not be found again.
const _: () = assert!(3 * 63 + "/:".len() + IPV6_SUFFIX.len() <= NAME_LEN);

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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
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

/// Decides what this node serves, from nothing but a snapshot.
pub fn desired(snapshot: &Snapshot, config: &NodeConfig) -> Desired {
    let mut decisions = Decisions::default();
    decisions.update(snapshot, config);
    decisions.into_desired()
}
