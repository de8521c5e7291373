//! How addresses, Services and protocols are spelled.

use std::{
    collections::BTreeMap,
    fmt,
    net::{IpAddr, SocketAddr},
};

use lb_common::{
    address::{Address, IpAddress},
    flow::FlowKey,
    service::{self, ServiceKey},
};
use lb_model::{desired::IPV6_SUFFIX, object::Protocol};
use serde::{Serialize, Serializer, ser::SerializeStruct as _};

/// An address as a flow table holds it.
pub(crate) fn address<A: IpAddress>(address: A) -> IpAddr {
    address.address().into()
}

/// An address and a port in network byte order.
pub(crate) fn socket(address: Address, port_be: u16) -> SocketAddr {
    SocketAddr::new(address.into(), u16::from_be(port_be))
}

/// An IP protocol number as Kubernetes spells it.
pub(crate) fn protocol(number: u8) -> String {
    Protocol::from_number(number).map_or_else(|| number.to_string(), |protocol| protocol.to_string())
}

/// An address, a port and a protocol: a frontend or an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Target {
    /// Address and port.
    pub(crate) socket: SocketAddr,
    /// IP protocol number.
    pub(crate) protocol: u8,
}

impl Target {
    /// The port in network byte order.
    pub(crate) fn new(address: Address, port_be: u16, protocol: u8) -> Self {
        Self { socket: socket(address, port_be), protocol }
    }

    /// A frontend's.
    pub(crate) fn frontend(key: &ServiceKey) -> Self {
        Self::new(key.address, key.port_be, key.protocol)
    }

    /// The destination of a tuple.
    pub(crate) fn destination<A: IpAddress>(key: &FlowKey<A>) -> Self {
        Self::new(key.dst_be.address(), key.dst_port_be, key.protocol as u8)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.protocol == 0 {
            // As a socket address is written, with brackets around IPv6.
            match self.socket.ip() {
                IpAddr::V4(address) => write!(f, "{address}:*"),
                IpAddr::V6(address) => write!(f, "[{address}]:*"),
            }
        } else {
            write!(f, "{}/{}", self.socket, protocol(self.protocol))
        }
    }
}

impl Serialize for Target {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Target", 3)?;
        fields.serialize_field("address", &self.socket.ip())?;
        fields.serialize_field("port", &self.socket.port())?;
        fields.serialize_field("protocol", &protocol(self.protocol))?;
        fields.end()
    }
}

/// Which field of a Service a frontend comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) enum FrontendType {
    /// `spec.ports[].nodePort`.
    NodePort,
    /// `spec.externalIPs`.
    ExternalIP,
    /// `status.loadBalancer.ingress[].ip`.
    LoadBalancer,
    /// Every other port of a VIP.
    CatchAll,
    /// Asked for and not served.
    Refused,
    /// None of these: maps that another release wrote.
    Unknown,
}

impl FrontendType {
    /// The type behind `SERVICE_*` bits.
    pub(crate) const fn of(flags: u32) -> Self {
        if flags & service::SERVICE_CATCH_ALL != 0 {
            Self::CatchAll
        } else if flags & service::SERVICE_NODE_PORT != 0 {
            Self::NodePort
        } else if flags & service::SERVICE_EXTERNAL_IP != 0 {
            Self::ExternalIP
        } else if flags & service::SERVICE_LOAD_BALANCER != 0 {
            Self::LoadBalancer
        } else {
            Self::Unknown
        }
    }
}

impl fmt::Display for FrontendType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// `externalTrafficPolicy` behind `SERVICE_*` bits.
pub(crate) const fn traffic_policy(flags: u32) -> &'static str {
    if flags & service::SERVICE_LOCAL != 0 { "Local" } else { "Cluster" }
}

/// A Service port by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct ServiceName {
    /// Namespace.
    pub(crate) namespace: String,
    /// Name.
    pub(crate) name: String,
    /// Name of the port; empty where it has none.
    #[serde(rename = "portName")]
    pub(crate) port: String,
}

impl ServiceName {
    /// Reads `namespace/name` or `namespace/name:port`, as the `names` map holds it. The two families of a Service port
    /// have the same name for people: their addresses tell them apart.
    pub(crate) fn parse(text: &str) -> Self {
        let text = text.strip_suffix(IPV6_SUFFIX).unwrap_or(text);
        let (namespace, rest) = text.split_once('/').unwrap_or(("", text));
        let (name, port) = rest.split_once(':').unwrap_or((rest, ""));
        Self { namespace: namespace.to_owned(), name: name.to_owned(), port: port.to_owned() }
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.name.is_empty(), self.port.is_empty()) {
            (true, _) => f.write_str("-"),
            (_, true) => write!(f, "{}/{}", self.namespace, self.name),
            _ => write!(f, "{}/{}:{}", self.namespace, self.name, self.port),
        }
    }
}

/// Names of all Service ports by id.
pub(crate) type ServiceNames = BTreeMap<u32, ServiceName>;

/// The names that the `names` map holds.
pub(crate) fn service_names(names: &BTreeMap<u32, String>) -> ServiceNames {
    names.iter().map(|(id, name)| (*id, ServiceName::parse(name))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_with_and_without_a_port() {
        let name = ServiceName::parse("default/web:http");
        assert_eq!(
            (name.namespace.as_str(), name.name.as_str(), name.port.as_str()),
            ("default", "web", "http")
        );
        assert_eq!(ServiceName::parse("default/web").to_string(), "default/web");
        assert_eq!(ServiceName::parse("default/web:http IPv6"), name);
        assert_eq!(ServiceName::default().to_string(), "-");
    }

    #[test]
    fn a_target_reads_as_address_port_and_protocol() {
        let address = IpAddr::from([203, 0, 113, 10]).into();
        assert_eq!(Target::new(address, 80u16.to_be(), 6).to_string(), "203.0.113.10:80/TCP");
        assert_eq!(Target::frontend(&ServiceKey::catch_all(address)).to_string(), "203.0.113.10:*");
        let address = "2001:db8::10".parse::<IpAddr>().unwrap().into();
        assert_eq!(Target::new(address, 9000u16.to_be(), 132).to_string(), "[2001:db8::10]:9000/SCTP");
        assert_eq!(Target::frontend(&ServiceKey::catch_all(address)).to_string(), "[2001:db8::10]:*");
    }
}
