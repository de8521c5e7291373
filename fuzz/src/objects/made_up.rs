//! Made-up objects as the JSON that a manifest or an API server has.

use arbitrary::Arbitrary;
use lb_sources::translate::Kind;
use serde_json::{Value, json};

use super::values::{Address, Name, Number, Protocol, Range, Time, Times};

/// An object.
#[derive(Debug, Arbitrary)]
pub(super) enum Object {
    Service(Metadata, Service),
    Slice(Metadata, Slice),
    Node(Metadata, Node),
    /// Objects in a list.
    List(Vec<Object>),
    /// A Service with a field nested deeper than anybody needs.
    Nested(Metadata, u8),
}

#[derive(Debug, Arbitrary)]
pub(super) struct Metadata {
    name: Name,
    namespace: Option<Name>,
    created: Option<Time>,
    /// Of the slices and of nobody else.
    service: Name,
    from_pods: bool,
    dsr: bool,
    ranges: Option<Range>,
    zone: Option<bool>,
}

#[derive(Debug, Arbitrary)]
pub(super) struct Service {
    kind: ServiceKind,
    families: Vec<bool>,
    cluster_ips: Vec<Address>,
    external_ips: Vec<Address>,
    ingress: Vec<(Address, Option<bool>)>,
    policy: Option<bool>,
    affinity: Option<Option<Number>>,
    ranges: Vec<Range>,
    health_check: Option<Number>,
    ports: Vec<Port>,
}

#[derive(Clone, Copy, Debug, Arbitrary)]
enum ServiceKind {
    ClusterIp,
    NodePort,
    LoadBalancer,
    ExternalName,
    Wrong,
}

#[derive(Debug, Arbitrary)]
struct Port {
    name: Option<Name>,
    protocol: Option<Protocol>,
    port: Number,
    node_port: Option<Number>,
}

#[derive(Debug, Arbitrary)]
pub(super) struct Slice {
    is_ipv6: bool,
    ports: Vec<(Option<Name>, Option<Protocol>, Option<Number>)>,
    endpoints: Vec<Endpoint>,
}

#[derive(Debug, Arbitrary)]
struct Endpoint {
    address: Address,
    times: Times,
    node: Option<bool>,
    conditions: [Option<bool>; 3],
    hints: Option<(Option<bool>, Option<bool>)>,
}

#[derive(Debug, Arbitrary)]
pub(super) struct Node {
    addresses: Vec<(bool, Address)>,
    pod_cidrs: Vec<Range>,
}

/// This node, or another.
fn node(is_own: bool) -> &'static str {
    if is_own { "n1" } else { "n2" }
}

fn zone(is_own: bool) -> &'static str {
    if is_own { "z1" } else { "z2" }
}

impl Object {
    /// The object, or those of the list.
    pub(super) fn values(&self) -> Vec<(Kind, Value)> {
        match self {
            Self::Service(metadata, service) => vec![(Kind::Service, service.value(metadata))],
            Self::Slice(metadata, slice) => vec![(Kind::EndpointSlice, slice.value(metadata))],
            Self::Node(metadata, node) => vec![(Kind::Node, node.value(metadata))],
            Self::List(objects) => objects.iter().flat_map(Self::values).collect(),
            Self::Nested(metadata, depth) => {
                let deep = (0..*depth).fold(Value::Null, |inner, _| json!([inner]));
                let mut value = json!({"apiVersion": "v1", "kind": "Service", "spec": deep});
                value["metadata"] = metadata.value();
                vec![(Kind::Service, value)]
            }
        }
    }
}

impl Metadata {
    fn value(&self) -> Value {
        let manager = if self.from_pods { "endpointslice-controller.k8s.io" } else { "staff" };
        let mut labels = json!({
            "kubernetes.io/service-name": self.service.0,
            "endpointslice.kubernetes.io/managed-by": manager,
        });
        if let Some(is_own) = self.zone {
            labels["topology.kubernetes.io/zone"] = json!(zone(is_own));
        }
        let mut annotations = json!({"sluice.dev/forwarding-mode": if self.dsr { "dsr" } else { "snat" }});
        if let Some(Range(ranges)) = &self.ranges {
            annotations["service.beta.kubernetes.io/load-balancer-source-ranges"] = json!(ranges);
        }
        let mut value = json!({"name": self.name.0, "labels": labels, "annotations": annotations});
        if let Some(namespace) = &self.namespace {
            value["namespace"] = json!(namespace.0);
        }
        if let Some(created) = &self.created {
            value["creationTimestamp"] = json!(created.0);
        }
        value
    }
}

impl Service {
    fn value(&self, metadata: &Metadata) -> Value {
        let texts =
            |addresses: &[Address]| addresses.iter().map(|address| json!(address.0)).collect::<Vec<_>>();
        let families = self.families.iter().map(|is_ipv6| if *is_ipv6 { "IPv6" } else { "IPv4" });
        let ports = self.ports.iter().map(|port| {
            json!({
                "name": port.name.as_ref().map(|name| &name.0),
                "protocol": port.protocol.as_ref().map(|protocol| &protocol.0),
                "port": port.port.0,
                "nodePort": port.node_port.map(|number| number.0),
            })
        });
        let ingress = self.ingress.iter().map(|(address, is_vip)| {
            json!({"ip": address.0, "ipMode": is_vip.map(|is_vip| if is_vip { "VIP" } else { "Proxy" })})
        });
        json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata.value(),
            "spec": {
                "type": format!("{:?}", self.kind).replace("ClusterIp", "ClusterIP"),
                "ipFamilies": families.collect::<Vec<_>>(),
                "clusterIPs": texts(&self.cluster_ips),
                "externalIPs": texts(&self.external_ips),
                "externalTrafficPolicy": self.policy.map(|is_local| if is_local { "Local" } else { "Cluster" }),
                "sessionAffinity": self.affinity.map(|_| "ClientIP"),
                "sessionAffinityConfig": {
                    "clientIP": {"timeoutSeconds": self.affinity.flatten().map(|number| number.0)},
                },
                "loadBalancerSourceRanges": self.ranges.iter().map(|range| &range.0).collect::<Vec<_>>(),
                "healthCheckNodePort": self.health_check.map(|number| number.0),
                "ports": ports.collect::<Vec<_>>(),
            },
            "status": {"loadBalancer": {"ingress": ingress.collect::<Vec<_>>()}},
        })
    }
}

impl Slice {
    fn value(&self, metadata: &Metadata) -> Value {
        let ports = self.ports.iter().map(|(name, protocol, port)| {
            json!({
                "name": name.as_ref().map(|name| &name.0),
                "protocol": protocol.as_ref().map(|protocol| &protocol.0),
                "port": port.map(|number| number.0),
            })
        });
        json!({
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": metadata.value(),
            "addressType": if self.is_ipv6 { "IPv6" } else { "IPv4" },
            "ports": ports.collect::<Vec<_>>(),
            "endpoints": self.endpoints.iter().flat_map(Endpoint::values).collect::<Vec<_>>(),
        })
    }
}

impl Endpoint {
    /// The endpoint, and others of other addresses that are like it.
    fn values(&self) -> Vec<Value> {
        let [ready, serving, terminating] = self.conditions;
        let hints = self.hints.map(|(for_node, for_zone)| {
            json!({
                "forNodes": for_node.map(|is_own| json!([{"name": node(is_own)}])),
                "forZones": for_zone.map(|is_own| json!([{"name": zone(is_own)}])),
            })
        });
        let value = |address: String| {
            json!({
                "addresses": [address],
                "nodeName": self.node.map(node),
                "conditions": {"ready": ready, "serving": serving, "terminating": terminating},
                "hints": hints,
            })
        };
        let others = (1..self.times.0).map(|n| value(format!("10.{}.{}.7", 50 + n / 256, n % 256)));
        std::iter::once(value(self.address.0.clone())).chain(others).collect()
    }
}

impl Node {
    fn value(&self, metadata: &Metadata) -> Value {
        let addresses = self.addresses.iter().map(|(is_internal, address)| {
            json!({"type": if *is_internal { "InternalIP" } else { "ExternalIP" }, "address": address.0})
        });
        let mut value = json!({
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": metadata.value(),
            "spec": {"podCIDRs": self.pod_cidrs.iter().map(|range| &range.0).collect::<Vec<_>>()},
            "status": {"addresses": addresses.collect::<Vec<_>>()},
        });
        // The names of nodes that matter here.
        if let Some(is_own) = metadata.zone {
            value["metadata"]["name"] = json!(node(is_own));
        }
        value
    }
}
