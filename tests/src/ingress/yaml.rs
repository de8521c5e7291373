//! Services of proxies and of what is behind them, as a person would write them.

use std::fmt::Write as _;

use super::{HTTP_PORT, HTTPS_PORT};
use crate::{dual_stack::DualStack, pod::Pod};

/// The Service that leads from the Ingress address to the proxies, local to each node.
pub(super) fn frontend<'a>(address: DualStack, proxies: impl Iterator<Item = &'a Pod>) -> String {
    let ports = [("http", 80, HTTP_PORT), ("https", 443, HTTPS_PORT)];
    let mut text = format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: sluice-ingress, namespace: default}}\nspec:\n  type: LoadBalancer\n  \
         ipFamilyPolicy: RequireDualStack\n  ipFamilies: [IPv4, IPv6]\n  externalTrafficPolicy: Local\n  \
         externalIPs: [{}, \"{}\"]\n  ports:\n",
        address.v4, address.v6
    );
    for (name, port, target) in ports {
        let _ = writeln!(text, "  - {{name: {name}, port: {port}, targetPort: {target}, protocol: TCP}}");
    }
    let ports = ports.map(|(name, _, target)| format!("{{name: {name}, port: {target}, protocol: TCP}}"));
    text + &slices("sluice-ingress", &ports.join(", "), proxies)
}

/// A Service inside the cluster.
pub(super) fn application<'a>(name: &str, port: u16, pods: impl IntoIterator<Item = &'a Pod>) -> String {
    let target = crate::pod::PORT;
    format!(
        "---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: default}}\nspec:\n  \
         ports:\n  - {{port: {port}, targetPort: {target}, protocol: TCP}}\n"
    ) + &slices(name, &format!("{{port: {target}, protocol: TCP}}"), pods.into_iter())
}

fn slices<'a>(service: &str, ports: &str, pods: impl Iterator<Item = &'a Pod>) -> String {
    let pods: Vec<_> = pods.collect();
    let mut text = String::new();
    for (family, suffix) in [("IPv4", "v4"), ("IPv6", "v6")] {
        let _ = write!(
            text,
            "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata:\n  name: {service}-{suffix}\n  namespace: default\n  \
             labels: {{kubernetes.io/service-name: {service}}}\naddressType: {family}\nports: [{ports}]\nendpoints:\n"
        );
        for pod in &pods {
            let address =
                if family == "IPv4" { pod.addresses.v4.to_string() } else { pod.addresses.v6.to_string() };
            let _ = writeln!(
                text,
                "- {{addresses: [\"{address}\"], nodeName: {}, conditions: {{ready: true}}}}",
                pod.node
            );
        }
    }
    text
}
