//! Objects as a person would write them.

use std::fmt::{Display, Write as _};

use lb_model::object::{IpFamily, Protocol};

use super::service::{Endpoint, PORT, Service};
use crate::topo::Node;

pub(super) fn node(node: &Node) -> String {
    let cidrs = node.pod_cidrs();
    format!(
        "apiVersion: v1\nkind: Node\nmetadata:\n  name: {name}\n  labels: {{topology.kubernetes.io/zone: {zone}}}\n\
         spec:\n  podCIDR: {cidr}\n  podCIDRs: {cidrs}\n\
         status:\n  addresses:\n  - {{type: InternalIP, address: {v4}}}\n  - {{type: InternalIP, address: \"{v6}\"}}\n  \
         - {{type: Hostname, address: {name}}}\n",
        name = node.name,
        zone = node.zone(),
        cidr = cidrs[0],
        cidrs = list(&cidrs),
        v4 = node.addresses.v4,
        v6 = node.addresses.v6,
    )
}

pub(super) fn service(service: &Service) -> String {
    let kind = match (&service.load_balancer_ips[..], service.node_port) {
        ([_, ..], _) => "LoadBalancer",
        ([], Some(_)) => "NodePort",
        ([], None) => "ClusterIP",
    };
    let mut text =
        format!("apiVersion: v1\nkind: Service\nmetadata:\n  name: {}\n  namespace: default\n", service.name);
    if service.dsr {
        text.push_str("  annotations: {sluice.dev/forwarding-mode: dsr}\n");
    }
    let policy = if service.families.len() == 2 { "RequireDualStack" } else { "SingleStack" };
    let _ = write!(
        text,
        "spec:\n  type: {kind}\n  ipFamilyPolicy: {policy}\n  ipFamilies: {}\n",
        list(&service.families)
    );
    if !service.external_ips.is_empty() {
        let _ = writeln!(text, "  externalIPs: {}", list(&service.external_ips));
    }
    if kind != "ClusterIP" || !service.external_ips.is_empty() {
        let policy = if service.local_traffic_policy { "Local" } else { "Cluster" };
        let _ = writeln!(text, "  externalTrafficPolicy: {policy}");
    }
    if let Some(port) = service.health_check_node_port {
        let _ = writeln!(text, "  healthCheckNodePort: {port}");
    }
    if let Some(seconds) = service.affinity_seconds {
        let _ = writeln!(
            text,
            "  sessionAffinity: ClientIP\n  sessionAffinityConfig: {{clientIP: {{timeoutSeconds: {seconds}}}}}"
        );
    }
    if !service.source_ranges.is_empty() {
        let _ = writeln!(text, "  loadBalancerSourceRanges: {}", list(&service.source_ranges));
    }
    text.push_str("  ports:\n");
    let node_port = service.node_port.map(|port| format!(", nodePort: {port}")).unwrap_or_default();
    for protocol in service.protocols() {
        let name = name(protocol);
        let _ = writeln!(text, "  - {{name: {name}, protocol: {protocol}, port: {PORT}{node_port}}}");
    }
    if kind == "LoadBalancer" {
        text.push_str("status:\n  loadBalancer:\n    ingress:\n");
        service.load_balancer_ips.iter().for_each(|ip| text.push_str(&format!("    - ip: \"{ip}\"\n")));
    }
    text
}

pub(super) fn slice(service: &Service, port: u16, family: IpFamily) -> String {
    let mut text = format!(
        "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata:\n  name: {name}-{port}-{suffix}\n  \
         namespace: default\n  labels:\n    kubernetes.io/service-name: {name}\naddressType: {family}\nports:\n",
        name = service.name,
        suffix = family.to_string().to_lowercase(),
    );
    for protocol in service.protocols() {
        let _ = writeln!(text, "- {{name: {}, protocol: {protocol}, port: {port}}}", name(protocol));
    }
    text.push_str("endpoints:\n");
    for endpoint in service.endpoints.iter().filter(|endpoint| endpoint.port == port) {
        let Endpoint { pod, node, terminating, .. } = endpoint;
        let _ = write!(
            text,
            "- addresses: [\"{address}\"]\n  nodeName: {node}\n  targetRef: {{kind: Pod, name: {pod}}}\n  \
             conditions: {{ready: {ready}, serving: true, terminating: {terminating}}}\n{hints}",
            address = endpoint.addresses.of(family),
            ready = !terminating,
            hints = hints(endpoint),
        );
    }
    text
}

/// The name of a Service's port.
fn name(protocol: Protocol) -> String {
    protocol.to_string().to_lowercase()
}

fn hints(endpoint: &Endpoint) -> String {
    let entries = |names: &[String]| names.iter().map(|name| format!("{{name: {name}}}")).collect::<Vec<_>>();
    let hints: Vec<_> = [("forNodes", &endpoint.for_nodes), ("forZones", &endpoint.for_zones)]
        .into_iter()
        .filter(|(_, names)| !names.is_empty())
        .map(|(field, names)| format!("{field}: [{}]", entries(names).join(", ")))
        .collect();
    if hints.is_empty() { String::new() } else { format!("  hints: {{{}}}\n", hints.join(", ")) }
}

/// A flow sequence; IPv6 addresses and ranges begin or end with what YAML would read as syntax.
fn list(items: &[impl Display]) -> String {
    let items: Vec<_> = items
        .iter()
        .map(|item| item.to_string())
        .map(|item| if item.contains(':') { format!("\"{item}\"") } else { item })
        .collect();
    format!("[{}]", items.join(", "))
}
