//! One port of one Service: where new connections go.

use lb_common::service::{SERVICE_DSR, SERVICE_LOAD_BALANCER};

use super::{
    DesiredBackend, DesiredService, Frontend, IPV6_SUFFIX, candidate,
    locality::Locality,
    select::{self, Selection},
};
use crate::{
    backend_id::BackendId,
    object::{EndpointSlice, IpFamily, ObjectKey, Service, ServicePort},
};

/// What is served for one family of a Service port.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Decision {
    pub(super) name: String,
    pub(super) service: DesiredService,
    /// The endpoints behind it, sorted, with what it says of each.
    pub(super) endpoints: Box<[(BackendId, DesiredBackend)]>,
}

/// Decides for each family in which the port of a Service owns any of `frontends`.
pub(super) fn decide<'a>(
    object: &ObjectKey,
    service: &Service,
    port: &ServicePort,
    frontends: Vec<Frontend>,
    slices: impl Iterator<Item = &'a EndpointSlice> + Clone,
    locality: &Locality<'_>,
) -> Vec<Decision> {
    let (v4, v6): (Vec<_>, Vec<_>) = frontends.into_iter().partition(|frontend| frontend.key.address.is_v4());
    let families = [(IpFamily::Ipv4, v4), (IpFamily::Ipv6, v6)].into_iter();
    let served = families.filter(|(_, frontends)| !frontends.is_empty());
    served
        .map(|(family, frontends)| {
            let candidates = candidate::candidates(slices.clone(), port, family, locality);
            let any = |flag| frontends.iter().any(|frontend| frontend.flags & flag != 0);
            let Selection { members, local_members, draining } =
                select::select(&candidates, service.external_traffic_policy, any(SERVICE_DSR));
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
            let endpoints = candidates.iter().map(|candidate| (candidate.id, candidate.backend())).collect();
            Decision { name: name(object, port, family), service, endpoints }
        })
        .collect()
}

/// `namespace/name:port`, without the colon where the port has no name.
fn name(object: &ObjectKey, port: &ServicePort, family: IpFamily) -> String {
    let suffix = if family == IpFamily::Ipv6 { IPV6_SUFFIX } else { "" };
    if port.name.is_empty() { format!("{object}{suffix}") } else { format!("{object}:{}{suffix}", port.name) }
}
