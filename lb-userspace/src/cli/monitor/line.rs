//! An event as people and programs read it.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    time::{Duration, SystemTime},
};

use k8s_openapi::jiff::{Timestamp, fmt::strtime};
use lb_common::{
    drop_reason::DropReason,
    flow::FLOW_REVERSE,
    monitor::{CloseReason, Event, Kind},
    service::ServiceKey,
    time,
};
use serde::Serialize;
use serde_json::{Value, json};

use super::names::Names;
use crate::{
    cli::{CliError, get::flows::Forwarding, names, names::ServiceName},
    dataplane::monitor::now,
};

/// An event. Of a drop the packet's own addresses are told, of a flow those on both sides of the translation.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Line {
    time: String,
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<&'static str>,
    protocol: String,
    #[serde(flatten)]
    ends: Ends,
    pub(super) service: Option<ServiceName>,
    /// The device that a dropped packet came in by, or that a flow leaves by.
    interface: Option<String>,
    /// How long the flow was open.
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_seconds: Option<f64>,
    #[serde(skip)]
    pub(super) protocol_number: u8,
    #[serde(skip)]
    clock: String,
}

#[derive(Clone, Debug, Serialize)]
#[serde(untagged, rename_all_fields = "camelCase")]
enum Ends {
    Flow {
        client: SocketAddr,
        frontend: SocketAddr,
        /// What the endpoint sees as the client.
        source: SocketAddr,
        /// Absent where another node chooses it.
        endpoint: Option<SocketAddr>,
        /// The node that packets are sent to in an outer header.
        node: Option<IpAddr>,
        forwarding: Forwarding,
    },
    Packet {
        source: SocketAddr,
        destination: SocketAddr,
    },
}

impl Line {
    pub(super) fn new(event: &Event, names: &mut Names) -> Result<Self, CliError> {
        let service = match event.service {
            0 => names.frontend(ServiceKey::new(event.dst, event.dst_port_be, event.protocol))?,
            id => names.service(id)?,
        };
        let age = Duration::from_nanos(now().saturating_sub(event.time));
        let at = SystemTime::now().checked_sub(age).unwrap_or(SystemTime::UNIX_EPOCH);
        Ok(Self::told(event, service, names.device(event.ifindex), at))
    }

    /// The event, which was at `at`.
    fn told(event: &Event, service: Option<ServiceName>, interface: Option<String>, at: SystemTime) -> Self {
        let kind = Kind::from_u32(event.kind.into());
        let (r#type, reason) = match kind {
            Some(Kind::Open) => ("open", None),
            Some(Kind::Close) => {
                ("close", CloseReason::from_u32(event.reason.into()).map(CloseReason::as_str))
            }
            Some(Kind::Drop) => ("drop", DropReason::from_u32(event.reason.into()).map(DropReason::as_str)),
            None => ("unknown", None),
        };
        let opened = time::nanos(time::since(time::tick(event.time), event.opened));
        let at = Timestamp::try_from(at).unwrap_or(Timestamp::UNIX_EPOCH);
        Self {
            time: strtime::format("%Y-%m-%dT%H:%M:%S.%6fZ", at).unwrap_or_default(),
            clock: strtime::format("%H:%M:%S.%6f", at).unwrap_or_default(),
            r#type,
            reason,
            protocol: protocol(event.protocol),
            ends: Ends::of(event, kind),
            service,
            interface,
            duration_seconds: (kind == Some(Kind::Close)).then(|| Duration::from_nanos(opened).as_secs_f64()),
            protocol_number: event.protocol,
        }
    }

    /// The client, or who sent the dropped packet.
    pub(super) fn source(&self) -> IpAddr {
        match self.ends {
            Ends::Flow { client: address, .. } | Ends::Packet { source: address, .. } => address.ip(),
        }
    }

    /// The frontend, or where the dropped packet was to go.
    pub(super) fn destination(&self) -> IpAddr {
        match self.ends {
            Ends::Flow { frontend: address, .. } | Ends::Packet { destination: address, .. } => address.ip(),
        }
    }

    /// Addresses that may be an endpoint's.
    pub(super) fn endpoint(&self) -> Vec<IpAddr> {
        match self.ends {
            Ends::Flow { endpoint, .. } => endpoint.iter().map(SocketAddr::ip).collect(),
            Ends::Packet { source, destination } => vec![source.ip(), destination.ip()],
        }
    }
}

impl Ends {
    fn of(event: &Event, kind: Option<Kind>) -> Self {
        let from = (names::socket(event.src, event.src_port_be), names::socket(event.dst, event.dst_port_be));
        if kind == Some(Kind::Drop) {
            return Self::Packet { source: from.0, destination: from.1 };
        }
        let to = (
            names::socket(event.new_src, event.new_src_port_be),
            names::socket(event.new_dst, event.new_dst_port_be),
        );
        // A reverse half is endpoint → source becoming frontend → client: turned round it reads like a forward half.
        let (outer, inner) =
            if event.flags & FLOW_REVERSE != 0 { ((to.1, to.0), (from.1, from.0)) } else { (from, to) };
        let forwarding = Forwarding::of(event.flags);
        // The addresses of such a flow are those of the outer header.
        let encapsulated = forwarding == Forwarding::Dsr;
        Self::Flow {
            client: outer.0,
            frontend: outer.1,
            source: if encapsulated { outer.0 } else { inner.0 },
            endpoint: (!encapsulated).then_some(inner.1),
            node: encapsulated.then(|| inner.1.ip()),
            forwarding,
        }
    }
}

fn protocol(number: u8) -> String {
    match number {
        1 => "ICMP".to_owned(),
        58 => "ICMPv6".to_owned(),
        number => names::protocol(number),
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:5} {:4} ", self.clock, self.r#type.to_uppercase(), self.protocol)?;
        match &self.ends {
            Ends::Packet { source, destination } => write!(f, "{source} → {destination}")?,
            Ends::Flow { client, frontend, source, endpoint, node, forwarding } => {
                write!(f, "{client} → {frontend} via ")?;
                match (endpoint, node) {
                    (Some(endpoint), _) if source == client => write!(f, "{endpoint}")?,
                    (Some(endpoint), _) => write!(f, "{source} → {endpoint}")?,
                    (None, Some(node)) => write!(f, "node {node}")?,
                    (None, None) => f.write_str("-")?,
                }
                write!(f, " {}", forwarding.as_str())?;
            }
        }
        if let Some(service) = &self.service {
            write!(f, " {service}")?;
        }
        if let Some(reason) = self.reason {
            write!(f, " ({reason}")?;
            if let Some(seconds) = self.duration_seconds {
                write!(f, " after {seconds:.1}s")?;
            }
            f.write_str(")")?;
        }
        match &self.interface {
            Some(interface) if matches!(self.ends, Ends::Packet { .. }) => write!(f, " from {interface}"),
            _ => Ok(()),
        }
    }
}

/// What is said in JSON of events that were left out.
pub(super) fn left_out(rate: u64, ring_full: u64) -> Value {
    json!({"type": "left-out", "events": rate + ring_full, "aboveRate": rate, "ringFull": ring_full})
}

#[cfg(test)]
mod tests;
