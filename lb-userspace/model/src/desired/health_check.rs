//! What each `healthCheckNodePort` has to answer.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    net::IpAddr,
};

use super::{locality::Locality, slices::SlicesByService};
use crate::{
    config::NodeConfig,
    object::{EndpointSlice, ObjectKey, Refusal, Service, ServiceType, Snapshot, TrafficPolicy},
    persistent_map::PersistentMap,
    refusal::reason,
};

/// The answer of one port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    /// The Service that it is about.
    pub service: ObjectKey,
    /// Endpoints of this node that new connections may go to for some time to come.
    pub local_endpoints: usize,
}

/// The answers of this node by port; a port that two Services name is the older one's, and the other is refused.
pub fn health_checks(
    snapshot: &Snapshot,
    config: &NodeConfig,
    refusals: &mut Vec<Refusal>,
) -> BTreeMap<u16, HealthCheck> {
    let mut asking: Vec<_> = snapshot
        .services
        .iter()
        .filter_map(|(key, service)| Some((service.created, port(service)?, key)))
        .collect();
    let mut checks = BTreeMap::new();
    if asking.is_empty() {
        return checks;
    }
    asking.sort_unstable();
    let mut slices = SlicesByService::default();
    slices.follow(&PersistentMap::default(), &snapshot.slices);
    let locality = Locality::new(snapshot, config);
    for (_, port, key) in asking {
        match checks.entry(port) {
            Entry::Vacant(free) => {
                let local_endpoints = count(slices.of(key), &locality);
                free.insert(HealthCheck { service: key.clone(), local_endpoints });
            }
            Entry::Occupied(taken) => {
                let message = format!(
                    "healthCheckNodePort {port} of Service {key} belongs to Service {}; give each its own",
                    taken.get().service
                );
                refusals.push(Refusal::of_service(key, reason::HEALTH_CHECK_PORT_CONFLICT, message));
            }
        }
    }
    checks
}

/// `spec.healthCheckNodePort`, where the type and the policy give it a meaning (core/v1 ServiceSpec).
fn port(service: &Service) -> Option<u16> {
    let local = service.external_traffic_policy == TrafficPolicy::Local;
    service.health_check_node_port.filter(|_| local && service.service_type == ServiceType::LoadBalancer)
}

/// Ready endpoints of this node, each once however many slices and ports it stands in (kube-proxy
/// `pkg/proxy/endpointschangetracker.go`, `localReadyEndpoints`). Those that terminate do not count, ready or not: the
/// load balancer in front must leave before they do. A pod of both families is one endpoint.
fn count<'a>(slices: impl Iterator<Item = &'a EndpointSlice>, locality: &Locality<'_>) -> usize {
    let endpoints = slices.flat_map(|slice| &slice.endpoints);
    let counted: BTreeSet<IpAddr> = endpoints
        .filter(|endpoint| endpoint.ready && !endpoint.terminating && locality.is_local(endpoint))
        .map(|endpoint| endpoint.address)
        .collect();
    let ipv4 = counted.iter().filter(|address| address.is_ipv4()).count();
    ipv4.max(counted.len() - ipv4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::Endpoint;

    fn service(created: i64) -> Service {
        Service {
            created,
            service_type: ServiceType::LoadBalancer,
            external_traffic_policy: TrafficPolicy::Local,
            health_check_node_port: Some(32_000),
            ..Service::default()
        }
    }

    /// `ready`, `terminating` and the node, by last number of the address.
    fn snapshot(services: &[(&str, Service)], endpoints: &[(&str, bool, bool, &str)]) -> Snapshot {
        let endpoints = endpoints.iter().map(|(address, ready, terminating, node)| Endpoint {
            address: address.parse().unwrap(),
            node: Some((*node).to_owned()),
            ready: *ready,
            serving: true,
            terminating: *terminating,
            for_nodes: Vec::new(),
            for_zones: Vec::new(),
        });
        let slice = EndpointSlice {
            service: "web".to_owned(),
            endpoints: endpoints.collect(),
            ..EndpointSlice::default()
        };
        let key = |name: &str| ObjectKey::new("default", name);
        Snapshot {
            services: services.iter().map(|(name, service)| (key(name), service.clone())).collect(),
            slices: [(key("web-1"), slice.clone()), (key("web-2"), slice)].into(),
            ..Snapshot::default()
        }
    }

    fn checks(snapshot: &Snapshot) -> BTreeMap<u16, HealthCheck> {
        let config = NodeConfig { node_name: "n1".to_owned(), ..NodeConfig::default() };
        health_checks(snapshot, &config, &mut Vec::new())
    }

    #[test]
    fn only_ready_endpoints_of_this_node_that_stay_are_counted_and_each_once() {
        let endpoints = [
            ("10.0.0.1", true, false, "n1"),
            ("10.0.0.2", true, false, "n1"),
            ("10.0.0.3", false, false, "n1"),
            ("10.0.0.4", false, true, "n1"),
            ("10.0.0.5", true, true, "n1"),
            ("10.0.0.6", true, false, "n2"),
            ("fd00::1", true, false, "n1"),
        ];
        let found = checks(&snapshot(&[("web", service(0))], &endpoints));
        let expected = HealthCheck { service: ObjectKey::new("default", "web"), local_endpoints: 2 };
        assert_eq!(found, [(32_000, expected)].into());
        let found = checks(&snapshot(&[("web", service(0))], &endpoints[3..]));
        assert_eq!(found[&32_000].local_endpoints, 1, "the pod that is only reached over IPv6");
    }

    #[test]
    fn a_port_answers_only_for_load_balancers_with_the_policy_local() {
        for change in [
            |service: &mut Service| service.service_type = ServiceType::NodePort,
            |service: &mut Service| service.external_traffic_policy = TrafficPolicy::Cluster,
            |service: &mut Service| service.health_check_node_port = None,
        ] {
            let mut changed = service(0);
            change(&mut changed);
            assert_eq!(checks(&snapshot(&[("web", changed)], &[])), BTreeMap::new());
        }
    }

    #[test]
    fn of_two_services_with_one_port_the_older_answers_and_the_other_is_refused() {
        let snapshot = snapshot(&[("copy", service(9)), ("web", service(3))], &[]);
        let mut refusals = Vec::new();
        let checks = health_checks(&snapshot, &NodeConfig::default(), &mut refusals);
        assert_eq!(checks[&32_000].service.name, "web");
        assert_eq!(refusals.len(), 1);
        assert_eq!(refusals[0].object.name, "copy");
        assert_eq!(
            refusals[0].message,
            "healthCheckNodePort 32000 of Service default/copy belongs to Service default/web; give each its own"
        );
    }
}
