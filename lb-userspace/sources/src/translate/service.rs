//! core/v1 Service.

use std::net::IpAddr;

use k8s_openapi::{api::core::v1 as core, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use lb_model::object::{IpFamily, Service, ServicePort, ServiceType};

use super::{
    created,
    field::{self, Finding, keep, reason},
    has_label, traffic,
};
use crate::Consumer;

/// Says that another proxy serves the Service (kube-proxy `pkg/proxy/apis/well_known_labels.go`).
const SERVICE_PROXY_NAME: &str = "service.kubernetes.io/service-proxy-name";
/// Set on headless Services' slices (`core/v1` `IsHeadlessService`), and by users on Services that no proxy should
/// serve: kube-proxy watches neither.
const HEADLESS: &str = "service.kubernetes.io/headless";
const CLUSTER_IP_NONE: &str = "None";

/// The Service, or nothing where it is not ours.
pub(super) fn translate(
    consumer: Consumer,
    object: &core::Service,
    findings: &mut Vec<Finding>,
) -> Result<Option<Service>, Finding> {
    field::check_name(&object.metadata)?;
    field::check_label("metadata.name", object.metadata.name.as_deref().unwrap_or_default())?;
    let default = core::ServiceSpec::default();
    let spec = object.spec.as_ref().unwrap_or(&default);
    let mut cluster_ips = cluster_ips(spec);
    let headless = cluster_ips.first().is_some_and(|(_, ip)| *ip == CLUSTER_IP_NONE);
    let service_type = match spec.type_.as_deref() {
        None | Some("" | "ClusterIP") => ServiceType::ClusterIp,
        Some("NodePort") => ServiceType::NodePort,
        Some("LoadBalancer") => ServiceType::LoadBalancer,
        Some("ExternalName") => return Ok(None),
        Some(other) => {
            let message = format!("{other:?} is no Service type; use ClusterIP, NodePort or LoadBalancer");
            return Err(Finding::new("spec.type", reason::INVALID_VALUE, message));
        }
    };
    match consumer {
        Consumer::Agent if headless || is_of_others(&object.metadata) => return Ok(None),
        Consumer::Ingress if headless => cluster_ips.clear(),
        Consumer::Agent | Consumer::Ingress => {}
    }
    let cluster_ips: Vec<IpAddr> =
        cluster_ips.into_iter().filter_map(|(field, ip)| keep(field::address(field, ip), findings)).collect();
    // Addresses and policies of packets are the agent's matter, and so is what is wrong with them.
    if consumer == Consumer::Ingress {
        return Ok(Some(Service {
            created: created(&object.metadata),
            service_type,
            ip_families: ip_families(spec, &cluster_ips, findings),
            cluster_ips,
            ports: ports(spec, findings),
            ..Service::default()
        }));
    }
    let external_traffic_policy = traffic::policy(spec)?;
    Ok(Some(Service {
        created: created(&object.metadata),
        service_type,
        ip_families: ip_families(spec, &cluster_ips, findings),
        cluster_ips,
        external_ips: spec
            .external_ips
            .iter()
            .flatten()
            .enumerate()
            .filter_map(|(i, ip)| {
                keep(field::reachable_address(format!("spec.externalIPs[{i}]"), ip), findings)
            })
            .collect(),
        load_balancer_ips: load_balancer_ips(object, findings),
        external_traffic_policy,
        health_check_node_port: spec
            .health_check_node_port
            .filter(|number| *number != 0)
            .and_then(|number| keep(field::port("spec.healthCheckNodePort".to_owned(), number), findings)),
        affinity_seconds: traffic::affinity_seconds(spec, findings),
        source_ranges: traffic::source_ranges(object, findings),
        forwarding_mode: traffic::forwarding_mode(&object.metadata, findings),
        ports: ports(spec, findings),
    }))
}

/// True where the labels of a Service or slice say that kube-proxy leaves it alone.
pub(super) fn is_of_others(metadata: &ObjectMeta) -> bool {
    has_label(metadata, HEADLESS) || has_label(metadata, SERVICE_PROXY_NAME)
}

/// `clusterIPs`, or `clusterIP` where a manifest has only that; empty strings ask the API server for an address.
fn cluster_ips(spec: &core::ServiceSpec) -> Vec<(String, &str)> {
    let list: Vec<_> = spec.cluster_ips.iter().flatten().enumerate().collect();
    let fields: Vec<_> = if list.is_empty() {
        spec.cluster_ip.iter().map(|ip| ("spec.clusterIP".to_owned(), ip.as_str())).collect()
    } else {
        list.into_iter().map(|(i, ip)| (format!("spec.clusterIPs[{i}]"), ip.as_str())).collect()
    };
    fields.into_iter().filter(|(_, ip)| !ip.is_empty()).collect()
}

/// `ipFamilies`, or the families of `clusterIPs`.
fn ip_families(
    spec: &core::ServiceSpec,
    cluster_ips: &[IpAddr],
    findings: &mut Vec<Finding>,
) -> Vec<IpFamily> {
    let mut families: Vec<IpFamily> = Vec::new();
    for (i, text) in spec.ip_families.iter().flatten().enumerate() {
        match IpFamily::ALL.into_iter().find(|family| family.to_string() == *text) {
            Some(family) => families.push(family),
            None => {
                let message = format!("{text:?} is no address family; use IPv4 or IPv6");
                let field = format!("spec.ipFamilies[{i}]");
                findings.push(Finding::new(field, reason::INVALID_VALUE, message));
            }
        }
    }
    if families.is_empty() {
        families.extend(cluster_ips.iter().map(|address| IpFamily::of(*address)));
    }
    families.sort_unstable();
    families.dedup();
    families
}

/// Addresses of the load balancer that are to be short-cut: with `ipMode` Proxy the packets belong to the load
/// balancer itself (KEP-1860), and an entry with a host name only has no address.
fn load_balancer_ips(object: &core::Service, findings: &mut Vec<Finding>) -> Vec<IpAddr> {
    let ingress = object.status.as_ref().and_then(|status| status.load_balancer.as_ref()?.ingress.as_ref());
    let mut addresses = Vec::new();
    for (i, entry) in ingress.into_iter().flatten().enumerate() {
        let field = format!("status.loadBalancer.ingress[{i}]");
        match entry.ip_mode.as_deref() {
            None | Some("" | "VIP") => {}
            Some("Proxy") => continue,
            Some(other) => {
                let message = format!("{other:?} is no mode; use VIP or Proxy");
                findings.push(Finding::new(format!("{field}.ipMode"), reason::INVALID_VALUE, message));
                continue;
            }
        }
        if let Some(ip) = entry.ip.as_deref().filter(|ip| !ip.is_empty()) {
            addresses.extend(keep(field::reachable_address(format!("{field}.ip"), ip), findings));
        }
    }
    addresses
}

fn ports(spec: &core::ServiceSpec, findings: &mut Vec<Finding>) -> Vec<ServicePort> {
    let mut ports: Vec<ServicePort> = Vec::new();
    for (i, entry) in spec.ports.iter().flatten().enumerate() {
        let Some(port) = keep(port(entry, &format!("spec.ports[{i}]"), findings), findings) else { continue };
        if let Some(message) = clash(&port, &ports) {
            findings.push(Finding::new(format!("spec.ports[{i}]"), reason::DUPLICATE_PORT, message));
        } else {
            ports.push(port);
        }
    }
    ports
}

fn port(entry: &core::ServicePort, path: &str, findings: &mut Vec<Finding>) -> Result<ServicePort, Finding> {
    let name = entry.name.clone().unwrap_or_default();
    if !name.is_empty() {
        field::check_label(&format!("{path}.name"), &name)?;
    }
    Ok(ServicePort {
        name,
        protocol: field::protocol(format!("{path}.protocol"), entry.protocol.as_deref())?,
        port: field::port(format!("{path}.port"), entry.port)?,
        // The port is still reachable on the Service's addresses when only its node port is wrong.
        node_port: entry
            .node_port
            .filter(|number| *number != 0)
            .and_then(|number| keep(field::port(format!("{path}.nodePort"), number), findings)),
        app_protocol: entry.app_protocol.clone(),
    })
}

fn clash(port: &ServicePort, earlier: &[ServicePort]) -> Option<String> {
    let key = |port: &ServicePort| (port.protocol, port.port);
    if earlier.iter().any(|other| key(other) == key(port)) {
        return Some(format!(
            "{} {} is already a port of this Service; remove one",
            port.protocol, port.port
        ));
    }
    earlier.iter().any(|other| other.name == port.name).then(|| match port.name.as_str() {
        "" => "several ports of a Service need names; give this one a name".to_owned(),
        name => format!("{name:?} already names a port of this Service; choose another name"),
    })
}
