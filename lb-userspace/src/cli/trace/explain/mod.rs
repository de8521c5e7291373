//! Steps of the packet path as sentences.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
};

use lb_common::{
    address::Address,
    backend::{BACKEND_LOCAL, BACKEND_TERMINATING},
    drop_reason::DropReason,
    flow::{FLOW_ENCAPSULATED, FLOW_HAIRPIN, FLOW_LOCAL, FLOW_REVERSE},
    pipeline::{FIB_FRAG_NEEDED, FIB_NO_NEIGHBOUR, FIB_SUCCESS},
    service::{SERVICE_DSR, SERVICE_LOCAL},
    tcp, time,
    trace::{Step, TraceStep},
};

use super::{args::Transport, packet::Packet};
use crate::cli::{
    devices,
    names::{self, FrontendType, ServiceNames, Target},
    output,
};

/// What numbers in steps are called.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    /// Service ports by id.
    pub(crate) services: ServiceNames,
    /// Devices by index.
    pub(crate) devices: BTreeMap<u32, String>,
    /// Endpoints by index.
    pub(crate) endpoints: BTreeMap<u32, SocketAddr>,
}

impl Names {
    fn service(&self, id: u32) -> String {
        self.services.get(&id).map_or_else(|| format!("number {id}"), ToString::to_string)
    }

    fn endpoint(&self, index: u32) -> String {
        self.endpoints.get(&index).map_or_else(|| format!("number {index}"), ToString::to_string)
    }

    fn device(&self, ifindex: u32) -> String {
        devices::name(&self.devices, ifindex)
    }
}

/// A sentence for each step.
pub(crate) fn explain(packet: &Packet, steps: &[TraceStep], names: &Names) -> Vec<String> {
    steps.iter().map(|step| sentence(packet, step, names)).collect()
}

fn sentence(packet: &Packet, step: &TraceStep, names: &Names) -> String {
    let TraceStep { kind, a, b, c, from, to } = *step;
    let Some(kind) = Step::from_u32(kind) else {
        return format!("Step {kind} ({a}, {b}, {c}) of another release.");
    };
    match kind {
        Step::NotOurs => {
            "It is no IP packet with sound headers, or nothing that a frontend serves: not ours.".to_owned()
        }
        Step::FlowHit => flow_hit(a, &names.endpoint(b), &names.service(c)),
        Step::FlowMiss => "No flow knows this tuple.".to_owned(),
        Step::FlowOver => format!(
            "The flow of this tuple is over ({}, idle for {}).",
            tcp::state_name(packet.protocol(), a as u8),
            output::age(std::time::Duration::from_nanos(time::nanos(b)))
        ),
        Step::FlowRestored => format!(
            "The flow table had lost this half of the flow to endpoint {}; its restore record brings it back.",
            names.endpoint(b)
        ),
        Step::EndpointGone => format!("The flow's endpoint, backend {a}, is gone."),
        Step::ServiceHit => service_hit(packet, &names.service(a), b, c),
        Step::ServiceMiss => format!("No Service has a frontend {}.", target(packet)),
        Step::CatchAll => format!(
            "{} is a VIP of ours: ports without a Service are answered like closed ones.",
            packet.destination.ip()
        ),
        Step::RingSlot => format!("Its hash picks slot {a} of the ring, which holds backend {b}."),
        Step::Backend => backend(names::socket(to, a as u16), b),
        Step::Fib => fib(packet, i64::from(a.cast_signed()), &names.device(b), from),
        Step::SourcePort if c == 1 => format!("The client's source port {a} is kept."),
        Step::SourcePort => format!("Source port {a} is free towards the endpoint, at attempt {}.", b + 1),
        Step::Rewrite => format!(
            "The packet becomes {} -> {}.",
            names::socket(from, ((a >> 16) as u16).to_be()),
            names::socket(to, (a as u16).to_be())
        ),
        Step::LeftToStack => "XDP cannot send it there: it leaves the packet untouched to tcx.".to_owned(),
        Step::Pass => "It goes on to the node's stack, which delivers it.".to_owned(),
        Step::Drop => match DropReason::from_u32(a) {
            Some(reason) => format!("It is refused ({}): {}", reason.as_str(), reason.describe()),
            None => format!("It is refused for reason {a} of another release."),
        },
        Step::Forward => format!("It leaves through {}.", names.device(a)),
        Step::Filtered => {
            "No frontend, VIP, source port or local endpoint fits it: no table is looked up.".to_owned()
        }
        Step::Answer => format!("Its sender is sent {}.", answer(packet, a, b)),
        Step::SourceRange if a == 1 => {
            "The client is inside the Service's loadBalancerSourceRanges.".to_owned()
        }
        Step::SourceRange => "The client is outside the Service's loadBalancerSourceRanges.".to_owned(),
        Step::AffinityHit => {
            let endpoint = names.endpoint(a);
            format!(
                "sessionAffinity: the client's earlier flows went to endpoint {endpoint}, and so does this one."
            )
        }
        Step::Hairpin => format!(
            "Replies would not pass an uplink of this node: the endpoint sees {} as the client.",
            IpAddr::from(from)
        ),
        Step::Encapsulated => format!(
            "Direct server return: it travels inside a header from {} to the endpoint's node {}.",
            IpAddr::from(from),
            IpAddr::from(to)
        ),
        Step::Decapsulated => {
            format!("Node {} sent it here inside another header, which is taken off.", IpAddr::from(from))
        }
        Step::FragmentFollowed => format!(
            "It is a later fragment; the first one of its datagram had the ports {} -> {}.",
            a >> 16,
            a & 0xffff
        ),
        Step::FragmentUnmatched => {
            "It is a later fragment, and the first one of its datagram was not seen.".to_owned()
        }
        Step::Echo => "It is an echo request to a VIP of ours, which is answered here.".to_owned(),
        Step::ErrorTranslated => format!(
            "It is an ICMP error (type {a}, code {b}) about a packet of that flow; it becomes {} -> {}, and so \
             does the packet that it quotes.",
            IpAddr::from(from),
            IpAddr::from(to)
        ),
        Step::TooBig => format!("Its {a} bytes are more than the {b} that the way on takes."),
    }
}

/// What goes back to a sender, by the ICMP type and code that [`Step::Answer`] carries (RFC 792, RFC 4443).
pub(super) fn answer(packet: &Packet, kind: u32, code: u32) -> &'static str {
    match (packet.transport, packet.source.is_ipv4(), kind, code) {
        (Transport::Icmp, true, ..) => "an ICMP echo reply",
        (Transport::Icmp, false, ..) => "an ICMPv6 echo reply",
        (_, _, 0, _) => "a TCP reset",
        (_, true, 3, 4) => "an ICMP fragmentation needed",
        (_, true, 3, _) => "an ICMP port unreachable",
        (_, true, 11, _) => "an ICMP time exceeded",
        (_, false, 1, _) => "an ICMPv6 port unreachable",
        (_, false, 2, _) => "an ICMPv6 packet too big",
        (_, false, 3, _) => "an ICMPv6 time exceeded",
        _ => "an ICMP error",
    }
}

fn target(packet: &Packet) -> Target {
    Target { socket: packet.destination, protocol: packet.protocol() }
}

fn flow_hit(flags: u32, endpoint: &str, service: &str) -> String {
    let has = |flag: u8| flags & u32::from(flag) != 0;
    let place = if has(FLOW_LOCAL | FLOW_HAIRPIN) { "on this node" } else { "on another node" };
    if has(FLOW_ENCAPSULATED) {
        format!(
            "It belongs to a live flow of Service {service}, encapsulated to the node of endpoint {endpoint}."
        )
    } else if has(FLOW_REVERSE) {
        format!("It is a reply from endpoint {endpoint} {place}, of a live flow of Service {service}.")
    } else {
        format!("It belongs to a live flow of Service {service} to endpoint {endpoint} {place}.")
    }
}

fn service_hit(packet: &Packet, service: &str, flags: u32, ring_size: u32) -> String {
    let kind = match FrontendType::of(flags) {
        FrontendType::NodePort => "a node port",
        FrontendType::ExternalIP => "an external IP",
        FrontendType::LoadBalancer => "a load-balancer IP",
        FrontendType::CatchAll | FrontendType::Refused | FrontendType::Unknown => "a frontend",
    };
    let policy = names::traffic_policy(flags);
    let ring = match (ring_size, flags & SERVICE_LOCAL != 0) {
        (0, true) => "it has no endpoint on this node".to_owned(),
        (0, false) => "it has no endpoint".to_owned(),
        (slots, _) => format!("its ring has {slots} slots"),
    };
    let dsr = if flags & SERVICE_DSR == 0 { "" } else { ", direct server return" };
    format!("{} is {kind} of Service {service}, externalTrafficPolicy {policy}{dsr}; {ring}.", target(packet))
}

fn backend(endpoint: SocketAddr, flags: u32) -> String {
    if endpoint.ip().is_unspecified() {
        return "The backend's index is free: the endpoint has just been deleted.".to_owned();
    }
    let has = |flag: u8| flags & u32::from(flag) != 0;
    let place = if has(BACKEND_LOCAL) { "this node" } else { "another node" };
    let terminating = if has(BACKEND_TERMINATING) { ", terminating" } else { "" };
    format!("That is endpoint {endpoint}, on {place}{terminating}.")
}

/// A FIB look-up; codes are `BPF_FIB_LKUP_RET_*` of the kernel's include/uapi/linux/bpf.h.
fn fib(packet: &Packet, code: i64, device: &str, source: Address) -> String {
    let source = IpAddr::from(source);
    // A look-up that only asks for the way leaves the source open.
    let source =
        if source.is_unspecified() { String::new() } else { format!(" with source address {source}") };
    let refusal = match code {
        FIB_SUCCESS => return format!("The route leads out of {device}{source}."),
        FIB_NO_NEIGHBOUR => {
            return format!(
                "The route leads out of {device}{source}; the next hop's link-layer address is not known yet."
            );
        }
        FIB_FRAG_NEEDED => {
            return format!("The route leads out of {device}{source}; the packet is longer than its MTU.");
        }
        1 => "the route is a blackhole",
        2 => "the route is unreachable",
        3 => "the route is prohibited",
        4 => "it is not a packet to forward: the address is local, multicast, or no route leads there",
        5 if packet.source.is_ipv6() => {
            "forwarding is off on the incoming device (sysctl net.ipv6.conf.DEVICE.forwarding)"
        }
        5 => "forwarding is off on the incoming device (sysctl net.ipv4.conf.DEVICE.forwarding)",
        6 => "the route encapsulates in a way that BPF does not support",
        9 => "no source address fits the route",
        _ => return format!("The FIB look-up failed with code {code}."),
    };
    format!("The FIB gives no way: {refusal}.")
}

#[cfg(test)]
mod tests;
