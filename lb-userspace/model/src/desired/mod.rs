//! What the maps of this node should lead to, given everything the source knows.

mod endpoints;
mod frontends;
mod guard;
pub mod health_check;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use lb_common::service::ServiceKey;

use crate::{
    backend_id::BackendId,
    config::NodeConfig,
    object::{ObjectKey, Refusal, ServicePort, Snapshot},
};

/// Everything that should be served, and what is not and why.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Desired {
    /// Service ports with at least one frontend, by name.
    pub services: BTreeMap<String, DesiredService>,
    /// `BACKEND_*` flags of every endpoint that `services` mention.
    pub backends: BTreeMap<BackendId, u8>,
    /// What was asked for and is not served, what the source refused included.
    pub refusals: Vec<Refusal>,
}

/// A Service port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DesiredService {
    /// The Service.
    pub object: ObjectKey,
    /// Where clients reach it.
    pub frontends: Vec<Frontend>,
    /// The endpoints that new flows go to, in ring order.
    pub members: Vec<BackendId>,
    /// The other endpoints that still exist: flows that were opened to them while they were members go on.
    pub draining: Vec<BackendId>,
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
    let slices = endpoints::SlicesByService::new(snapshot);
    let locality = endpoints::Locality::new(snapshot, config);
    let mut flags = endpoints::Flags::default();
    let mut services = BTreeMap::new();
    for frontends::Owner { object, service, port, frontends } in owners {
        let candidates = endpoints::candidates(slices.of(object), port, &locality);
        flags.note(&candidates);
        let (members, draining) = endpoints::select(&candidates, service.external_traffic_policy);
        let object = object.clone();
        services.insert(name(&object, port), DesiredService { object, frontends, members, draining });
    }
    refusals.sort_unstable();
    refusals.dedup();
    Desired { services, backends: flags.merged(), refusals }
}

/// `namespace/name:port`, without the colon where the port has no name.
fn name(object: &ObjectKey, port: &ServicePort) -> String {
    if port.name.is_empty() { object.to_string() } else { format!("{object}:{}", port.name) }
}
