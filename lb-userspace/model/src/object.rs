//! The parts of Kubernetes objects that decide where packets go.
//!
//! Sources translate API objects into these; anything that cannot be expressed here (port 0, an address that is not
//! one) has been refused by the source, by name.

use std::{fmt, net::IpAddr, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{
    cidr::Cidr,
    ingress::{Ingress, IngressClass, TlsSecret},
    persistent_map::PersistentMap,
};

/// Namespace and name; the namespace of a Node is empty.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ObjectKey {
    /// `metadata.namespace`.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
}

impl ObjectKey {
    /// A key.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            f.write_str(&self.name)
        } else {
            write!(f, "{}/{}", self.namespace, self.name)
        }
    }
}

/// IP protocol number of SCTP (RFC 9260).
const SCTP: u8 = 132;

/// A transport protocol that a Service port may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Protocol {
    /// `TCP`.
    Tcp,
    /// `UDP`.
    Udp,
    /// `SCTP`.
    Sctp,
}

impl Protocol {
    /// IP protocol number.
    pub const fn number(self) -> u8 {
        match self {
            Self::Tcp => lb_common::tcp::TCP,
            Self::Udp => lb_common::tcp::UDP,
            Self::Sctp => SCTP,
        }
    }

    /// The protocol behind an IP protocol number.
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            lb_common::tcp::TCP => Some(Self::Tcp),
            lb_common::tcp::UDP => Some(Self::Udp),
            SCTP => Some(Self::Sctp),
            _ => None,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Sctp => "SCTP",
        })
    }
}

/// An IP address family. Nothing is ever translated from one to the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum IpFamily {
    /// `IPv4`.
    Ipv4,
    /// `IPv6`.
    Ipv6,
}

impl IpFamily {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Ipv4, Self::Ipv6];

    /// The family of an address.
    pub const fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::Ipv4,
            IpAddr::V6(_) => Self::Ipv6,
        }
    }
}

impl fmt::Display for IpFamily {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ipv4 => "IPv4",
            Self::Ipv6 => "IPv6",
        })
    }
}

/// `spec.externalTrafficPolicy`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum TrafficPolicy {
    /// Every endpoint.
    #[default]
    Cluster,
    /// This node's endpoints only.
    Local,
}

/// `spec.type`, as far as it matters here: headless and ExternalName Services never reach the model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ServiceType {
    /// Served only on its external IPs.
    #[default]
    ClusterIp,
    /// Served on node ports too.
    NodePort,
    /// Served on load-balancer addresses too.
    LoadBalancer,
}

/// How packets reach endpoints of other nodes: the annotation `sluice.dev/forwarding-mode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ForwardingMode {
    /// Source and destination rewritten; replies return through this node.
    #[default]
    Snat,
    /// Encapsulated to the endpoint's node, from where the reply leaves directly.
    Dsr,
}

/// A Service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// `metadata.creationTimestamp` in seconds since the epoch; 0 where the manifest has none. The oldest Service owns
    /// an (IP, port, protocol) that several claim.
    pub created: i64,
    /// `spec.type`.
    pub service_type: ServiceType,
    /// `spec.ipFamilies`, or the families of `clusterIPs` where a manifest has only those. Empty where it says neither:
    /// both families then.
    pub ip_families: Vec<IpFamily>,
    /// `spec.clusterIPs`; empty where the Service is headless.
    pub cluster_ips: Vec<IpAddr>,
    /// `spec.externalIPs`.
    pub external_ips: Vec<IpAddr>,
    /// `status.loadBalancer.ingress[].ip` with `ipMode` VIP or none.
    pub load_balancer_ips: Vec<IpAddr>,
    /// `spec.externalTrafficPolicy`.
    pub external_traffic_policy: TrafficPolicy,
    /// `spec.healthCheckNodePort`, where one is allocated.
    pub health_check_node_port: Option<u16>,
    /// `spec.sessionAffinityConfig.clientIP.timeoutSeconds` where `spec.sessionAffinity` is ClientIP.
    pub affinity_seconds: Option<u32>,
    /// `spec.loadBalancerSourceRanges`: who may use the load-balancer IPs. None where nothing was asked for, which
    /// leaves them open; empty where nothing that was asked for is a range, which closes them.
    pub source_ranges: Option<Vec<Cidr>>,
    /// The annotation `sluice.dev/forwarding-mode`.
    pub forwarding_mode: ForwardingMode,
    /// `spec.ports`.
    pub ports: Vec<ServicePort>,
}

impl Service {
    /// True where the Service is of the address family.
    pub fn is_of(&self, family: IpFamily) -> bool {
        self.ip_families.is_empty() || self.ip_families.contains(&family)
    }
}

/// An entry of `spec.ports`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServicePort {
    /// `name`, empty where there is none.
    pub name: String,
    /// `protocol`.
    pub protocol: Protocol,
    /// `port`.
    pub port: u16,
    /// `nodePort`, where one is allocated.
    pub node_port: Option<u16>,
    /// `appProtocol`.
    pub app_protocol: Option<String>,
}

/// An EndpointSlice of address type IPv4 or IPv6 (others never reach the model).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointSlice {
    /// `metadata.creationTimestamp` in seconds since the epoch; 0 where the manifest has none.
    pub created: i64,
    /// True where the label `endpointslice.kubernetes.io/managed-by` names the controller that fills slices from pods:
    /// its endpoints are pods, not addresses that somebody wrote down.
    pub lists_pods: bool,
    /// The Service it belongs to (label `kubernetes.io/service-name`), in the slice's namespace.
    pub service: String,
    /// `ports`; a port without a number (which the API reads as "all") is left out.
    pub ports: Vec<EndpointPort>,
    /// `endpoints`.
    pub endpoints: Vec<Endpoint>,
}

/// An entry of an EndpointSlice's `ports`, matched to the Service port of the same name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointPort {
    /// `name`, empty where there is none.
    pub name: String,
    /// `protocol`.
    pub protocol: Protocol,
    /// `port`.
    pub port: u16,
}

/// An entry of an EndpointSlice's `endpoints`; the API asks consumers to use the first address only
/// (`discovery/v1` Endpoint.addresses).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// `addresses[0]`.
    pub address: IpAddr,
    /// `nodeName`.
    pub node: Option<String>,
    /// `conditions.ready`; nil counts as true.
    pub ready: bool,
    /// `conditions.serving`; nil counts as `ready`.
    pub serving: bool,
    /// `conditions.terminating`; nil counts as false.
    pub terminating: bool,
    /// `hints.forNodes[].name`: the nodes that should use the endpoint.
    pub for_nodes: Vec<String>,
    /// `hints.forZones[].name`: the zones that should use the endpoint.
    pub for_zones: Vec<String>,
}

/// A Node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// `status.addresses` of type InternalIP.
    pub internal_ips: Vec<IpAddr>,
    /// `status.addresses` of type ExternalIP.
    pub external_ips: Vec<IpAddr>,
    /// The label `topology.kubernetes.io/zone`.
    pub zone: Option<String>,
    /// `spec.podCIDRs` (or `podCIDR`).
    pub pod_cidrs: Vec<Cidr>,
}

impl Node {
    /// Its addresses, the internal ones first.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.internal_ips.iter().chain(&self.external_ips).copied()
    }
}

/// Everything that a source knows at one moment. Copies are cheap, and share what they have in common.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Services to be proxied.
    pub services: PersistentMap<ObjectKey, Service>,
    /// EndpointSlices.
    pub slices: PersistentMap<ObjectKey, EndpointSlice>,
    /// Nodes by name.
    pub nodes: PersistentMap<String, Node>,
    /// Ingresses; the agent reads none.
    pub ingresses: PersistentMap<ObjectKey, Ingress>,
    /// IngressClasses by name; the agent reads none.
    pub ingress_classes: PersistentMap<String, IngressClass>,
    /// Secrets that hold certificates; the agent reads none.
    pub secrets: PersistentMap<ObjectKey, TlsSecret>,
    /// Objects that the source could not accept, and why.
    pub refused: Arc<[Refusal]>,
}

/// Something that was asked for and is not served.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Refusal {
    /// Kind of the object, `Service` and the like.
    pub kind: String,
    /// The object; for a file that cannot be parsed, the file's name under an empty namespace.
    pub object: ObjectKey,
    /// A reason in CamelCase, for Events and metrics.
    pub reason: String,
    /// What, where, and what to do, in one sentence.
    pub message: String,
}
