//! What one Service asks to be reached at, as far as it may.

use std::{collections::BTreeSet, net::IpAddr};

use lb_common::service::{
    SERVICE_DSR, SERVICE_EXTERNAL_IP, SERVICE_LOAD_BALANCER, SERVICE_LOCAL, SERVICE_NODE_PORT,
    SERVICE_SILENT, SERVICE_SOURCE_RANGES, ServiceKey,
};

use super::{
    Frontend,
    guard::{Guard, Objection},
};
use crate::{
    config::NodeConfig,
    object::{
        ForwardingMode, IpFamily, ObjectKey, Refusal, Service, ServicePort, ServiceType, TrafficPolicy,
    },
    refusal::reason,
};

/// The claims of a Service.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Claims {
    /// Of each of its ports that can be told apart.
    pub(super) ports: Vec<PortClaims>,
    /// What it asks for and may not have.
    pub(super) refusals: Vec<Refusal>,
}

/// The claims of a Service port.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PortClaims {
    /// Its place in `spec.ports`.
    pub(super) position: usize,
    /// Its number.
    pub(super) number: u16,
    /// Sorted by key.
    pub(super) frontends: Vec<Frontend>,
}

/// What a Service claims, given the addresses that NodePorts answer on.
pub(super) fn claims(
    object: &ObjectKey,
    service: &Service,
    node_port_addresses: &[IpAddr],
    config: &NodeConfig,
    guard: &Guard,
) -> Claims {
    let mut refusals = Vec::new();
    let vips = vips(object, service, config, guard, &mut refusals);
    let mut ports = Vec::new();
    for (position, port) in distinct_ports(object, service, &mut refusals) {
        let mut claims = vips.iter().map(|(vip, kind)| (*vip, port.port, *kind)).collect::<Vec<_>>();
        if let Some(node_port) = node_port(service, port) {
            let own = node_port_addresses.iter().filter(|own| service.is_of(IpFamily::of(**own)));
            let before = claims.len();
            claims.extend(own.map(|own| (*own, node_port, SERVICE_NODE_PORT)));
            if claims.len() == before {
                refusals.push(without_node_port_address(object, node_port, &config.node_name));
            }
        }
        let mut frontends: Vec<_> = claims
            .into_iter()
            .map(|(address, number, kind)| Frontend {
                key: ServiceKey::new(address.into(), number.to_be(), port.protocol.number()),
                flags: kind | policy_flags(service, kind),
            })
            .collect();
        frontends.sort_unstable_by_key(|frontend| frontend.key);
        frontends.dedup_by(|duplicate, kept| {
            let same = duplicate.key == kept.key;
            kept.flags |= if same { duplicate.flags } else { 0 };
            same
        });
        ports.push(PortClaims { position, number: port.port, frontends });
    }
    Claims { ports, refusals }
}

/// What a Service asks for beyond the `kind` of a frontend. A NodePort address means something on its own node alone,
/// so packets to it are never encapsulated.
fn policy_flags(service: &Service, kind: u32) -> u32 {
    let local = match service.external_traffic_policy {
        TrafficPolicy::Cluster => 0,
        TrafficPolicy::Local => SERVICE_LOCAL | SERVICE_SILENT,
    };
    let is_vip = kind != SERVICE_NODE_PORT;
    let dsr = if is_vip && service.forwarding_mode == ForwardingMode::Dsr { SERVICE_DSR } else { 0 };
    let guarded = kind == SERVICE_LOAD_BALANCER && service.source_ranges.is_some();
    local | dsr | if guarded { SERVICE_SOURCE_RANGES } else { 0 }
}

fn node_port(service: &Service, port: &ServicePort) -> Option<u16> {
    port.node_port.filter(|_| service.service_type != ServiceType::ClusterIp)
}

/// The VIPs of a Service that may be served, each with its kind.
fn vips(
    key: &ObjectKey,
    service: &Service,
    config: &NodeConfig,
    guard: &Guard,
    refusals: &mut Vec<Refusal>,
) -> Vec<(IpAddr, u32)> {
    let external = service.external_ips.iter().map(|vip| (*vip, "external IP", SERVICE_EXTERNAL_IP));
    // The API server empties status.loadBalancer when the type changes; a manifest may not.
    let load_balancer = if service.service_type == ServiceType::LoadBalancer {
        service.load_balancer_ips.as_slice()
    } else {
        &[]
    };
    let load_balancer = load_balancer.iter().map(|vip| (*vip, "load-balancer IP", SERVICE_LOAD_BALANCER));
    let mut vips = Vec::new();
    for (vip, what, kind) in external.chain(load_balancer) {
        let objection = not_allowed(key, vip, kind, config)
            .or_else(|| of_another_family(service, vip))
            .or_else(|| guard.objection(vip, service.created, config));
        match objection {
            None => vips.push((vip, kind)),
            Some((reason, is)) => {
                let message = format!("{what} {vip} of Service {key} is {is}");
                refusals.push(Refusal::of_service(key, reason, message));
            }
        }
    }
    vips
}

fn of_another_family(service: &Service, vip: IpAddr) -> Option<Objection> {
    let family = IpFamily::of(vip);
    let own: Vec<_> = service.ip_families.iter().map(ToString::to_string).collect();
    let is = || format!("an {family} address, and the Service is of family {} only", own.join(" and "));
    (!service.is_of(family)).then(|| (reason::ADDRESS_FAMILY_MISMATCH, is()))
}

fn not_allowed(key: &ObjectKey, vip: IpAddr, kind: u32, config: &NodeConfig) -> Option<Objection> {
    let objection = config.external_ips_allowed.objection(&key.namespace, vip);
    objection.filter(|_| kind == SERVICE_EXTERNAL_IP).map(|is| (reason::EXTERNAL_IP_NOT_ALLOWED, is))
}

/// The ports of a Service without those that repeat another's name: endpoints are matched by
/// name (the API server refuses such a Service; a manifest may hold one).
fn distinct_ports<'a>(
    key: &ObjectKey,
    service: &'a Service,
    refusals: &mut Vec<Refusal>,
) -> Vec<(usize, &'a ServicePort)> {
    let mut names = BTreeSet::new();
    let mut distinct = Vec::new();
    for (position, port) in service.ports.iter().enumerate() {
        if names.insert(port.name.as_str()) {
            distinct.push((position, port));
        } else {
            let message = format!(
                "port {}/{} of Service {key} has the name `{}` of another of its ports; give every port its own name",
                port.port, port.protocol, port.name
            );
            refusals.push(Refusal::of_service(key, reason::DUPLICATE_PORT_NAME, message));
        }
    }
    distinct
}

fn without_node_port_address(key: &ObjectKey, node_port: u16, node_name: &str) -> Refusal {
    let message = format!(
        "NodePort {node_port} of Service {key} has no address to answer on: node {node_name} has none of the Service's \
         families inside --node-port-addresses"
    );
    Refusal::of_service(key, reason::NO_NODE_PORT_ADDRESS, message)
}
