//! Who serves which (address, port, protocol).

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, SocketAddrV4},
};

use lb_common::service::{
    SERVICE_EXTERNAL_IP, SERVICE_LOAD_BALANCER, SERVICE_LOCAL, SERVICE_NODE_PORT, SERVICE_SILENT, ServiceKey,
};

use super::{Frontend, guard::Guard};
use crate::{
    config::NodeConfig,
    object::{ObjectKey, Protocol, Refusal, Service, ServicePort, ServiceType, Snapshot, TrafficPolicy},
    refusal::reason,
};

/// A Service's port, by the Service and the port's position in `spec.ports`.
pub(super) type PortRef<'a> = (&'a ObjectKey, usize);

/// Gives every frontend to the oldest Service that claims it, and refuses what may not be served.
pub(super) fn assign<'a>(
    snapshot: &'a Snapshot,
    config: &NodeConfig,
    refusals: &mut Vec<Refusal>,
) -> BTreeMap<PortRef<'a>, Vec<Frontend>> {
    let node_port_addresses = config.node_port_addresses(snapshot);
    let guard = Guard::new(snapshot, config, refusals);
    let mut by_age: Vec<_> = snapshot.services.iter().collect();
    by_age.sort_by_key(|(_, service)| service.created);
    let mut owners: BTreeMap<ServiceKey, (PortRef<'a>, u32)> = BTreeMap::new();
    for (key, service) in by_age {
        let vips = vips(key, service, config, &guard, refusals);
        for (position, port) in distinct_ports(key, service, refusals) {
            let mut claims = vips.iter().map(|(vip, kind)| (*vip, port.port, *kind)).collect::<Vec<_>>();
            if let Some(node_port) = node_port(service, port) {
                if node_port_addresses.is_empty() {
                    refusals.push(without_node_port_address(key, node_port));
                }
                claims.extend(node_port_addresses.iter().map(|own| (*own, node_port, SERVICE_NODE_PORT)));
            }
            for (address, number, kind) in claims {
                let frontend =
                    ServiceKey::new(address.to_bits().to_be(), number.to_be(), port.protocol.number());
                let me = (key, position);
                let (owner, flags) = owners.entry(frontend).or_insert((me, policy_flags(service)));
                if *owner == me {
                    *flags |= kind;
                } else {
                    let claimed = SocketAddrV4::new(address, number);
                    refusals.push(conflict(key, *owner, &snapshot.services, claimed, port.protocol));
                }
            }
        }
    }
    let mut frontends: BTreeMap<PortRef<'a>, Vec<Frontend>> = BTreeMap::new();
    for (key, (owner, flags)) in owners {
        frontends.entry(owner).or_default().push(Frontend { key, flags });
    }
    frontends
}

fn policy_flags(service: &Service) -> u32 {
    match service.external_traffic_policy {
        TrafficPolicy::Cluster => 0,
        TrafficPolicy::Local => SERVICE_LOCAL | SERVICE_SILENT,
    }
}

fn node_port(service: &Service, port: &ServicePort) -> Option<u16> {
    port.node_port.filter(|_| service.service_type != ServiceType::ClusterIp)
}

/// The VIPs of a Service that may be served, each with its kind.
fn vips(
    key: &ObjectKey,
    service: &Service,
    config: &NodeConfig,
    guard: &Guard<'_>,
    refusals: &mut Vec<Refusal>,
) -> Vec<(Ipv4Addr, u32)> {
    let external = service.external_ips.iter().map(|vip| (vip, "external IP", SERVICE_EXTERNAL_IP));
    // The API server empties status.loadBalancer when the type changes; a manifest may not.
    let load_balancer = if service.service_type == ServiceType::LoadBalancer {
        service.load_balancer_ips.as_slice()
    } else {
        &[]
    };
    let load_balancer = load_balancer.iter().map(|vip| (vip, "load-balancer IP", SERVICE_LOAD_BALANCER));
    let mut vips = Vec::new();
    for (vip, what, kind) in external.chain(load_balancer) {
        let objection = match vip {
            IpAddr::V6(_) => Some((reason::IPV6_NOT_SERVED, "IPv6, which is not served".to_owned())),
            IpAddr::V4(_) if kind == SERVICE_EXTERNAL_IP && !allows(config, *vip) => {
                Some((reason::EXTERNAL_IP_NOT_ALLOWED, outside_of(config)))
            }
            IpAddr::V4(address) => {
                let objection = guard.objection(*address);
                if objection.is_none() {
                    vips.push((*address, kind));
                }
                objection
            }
        };
        if let Some((reason, is)) = objection {
            let message = format!("{what} {vip} of Service {key} is {is}");
            refusals.push(Refusal::of_service(key, reason, message));
        }
    }
    vips
}

fn allows(config: &NodeConfig, vip: IpAddr) -> bool {
    config.external_ips_allowed.iter().any(|range| range.contains(vip))
}

fn outside_of(config: &NodeConfig) -> String {
    if config.external_ips_allowed.is_empty() {
        return "not served: no external IP is, until --external-ips-allowed names its range".to_owned();
    }
    let ranges: Vec<_> = config.external_ips_allowed.iter().map(ToString::to_string).collect();
    format!("outside --external-ips-allowed ({})", ranges.join(", "))
}

/// The ports of a Service with their positions, without those that repeat another's name: endpoints are matched by
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

fn without_node_port_address(key: &ObjectKey, node_port: u16) -> Refusal {
    let message = format!(
        "NodePort {node_port} of Service {key} has no address to answer on: this node has none inside \
         --node-port-addresses"
    );
    Refusal::of_service(key, reason::NO_NODE_PORT_ADDRESS, message)
}

fn conflict(
    key: &ObjectKey,
    (owner, position): PortRef<'_>,
    services: &BTreeMap<ObjectKey, Service>,
    claimed: SocketAddrV4,
    protocol: Protocol,
) -> Refusal {
    let message = if key == owner {
        let number = services[owner].ports[position].port;
        format!("{claimed}/{protocol} of Service {key} belongs to its port {number} already")
    } else {
        let why = if services[key].created == services[owner].created { "first by name" } else { "older" };
        format!("{claimed}/{protocol} of Service {key} belongs to Service {owner}, which is {why}")
    };
    Refusal::of_service(key, reason::FRONTEND_CONFLICT, message)
}
