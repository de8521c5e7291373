//! Steps of the packet path as sentences.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
};

use lb_common::{
    address::Address,
    backend::{BACKEND_LOCAL, BACKEND_TERMINATING},
    drop_reason::DropReason,
    flow::{FLOW_LOCAL, FLOW_REVERSE},
    pipeline::{FIB_FRAG_NEEDED, FIB_NO_NEIGHBOUR, FIB_SUCCESS},
    service::SERVICE_LOCAL,
    tcp, time,
    trace::{Step, TraceStep},
};

use super::packet::Packet;
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
            "It is not an unfragmented IPv4 TCP or UDP packet with sound headers: not ours.".to_owned()
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
        Step::RingSlot => format!("The tuple's hash picks slot {a} of the ring, which holds backend {b}."),
        Step::Backend => backend(names::socket(to, a as u16), b),
        Step::Fib => fib(i64::from(a.cast_signed()), &names.device(b), from),
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
        Step::Answer => format!("Its sender is sent {}.", answer(a)),
        Step::SourceRange if a == 1 => {
            "The client is inside the Service's loadBalancerSourceRanges.".to_owned()
        }
        Step::SourceRange => "The client is outside the Service's loadBalancerSourceRanges.".to_owned(),
        Step::AffinityHit => {
            format!("sessionAffinity: the client's earlier flows went to backend {a}, and so does this one.")
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

/// What goes back to a sender, by the number that [`Step::Answer`] carries.
pub(super) fn answer(icmp_type: u32) -> &'static str {
    match icmp_type {
        0 => "a TCP reset",
        3 => "an ICMP port unreachable",
        11 => "an ICMP time exceeded",
        _ => "an ICMP error",
    }
}

fn target(packet: &Packet) -> Target {
    Target { socket: packet.destination, protocol: packet.protocol() }
}

fn flow_hit(flags: u32, endpoint: &str, service: &str) -> String {
    let has = |flag: u8| flags & u32::from(flag) != 0;
    let place = if has(FLOW_LOCAL) { "on this node" } else { "on another node" };
    if has(FLOW_REVERSE) {
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
    format!("{} is {kind} of Service {service}, externalTrafficPolicy {policy}; {ring}.", target(packet))
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
fn fib(code: i64, device: &str, source: Address) -> String {
    let source = if source.is_none() {
        String::new()
    } else {
        format!(" with source address {}", IpAddr::from(source))
    };
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
        5 => "forwarding is off on the incoming device (sysctl net.ipv4.conf.DEVICE.forwarding)",
        6 => "the route encapsulates in a way that BPF does not support",
        9 => "no source address fits the route",
        _ => return format!("The FIB look-up failed with code {code}."),
    };
    format!("The FIB gives no way: {refusal}.")
}

#[cfg(test)]
mod tests {
    use lb_common::{flow::FLOW_VIA_STACK, service, tcp::flag};

    use super::*;
    use crate::cli::trace::args::Transport;

    fn step(kind: Step, a: u32, b: u32, c: u32) -> TraceStep {
        TraceStep { kind: kind as u32, a, b, c, ..TraceStep::default() }
    }

    fn between(kind: Step, [a, b, c]: [u32; 3], from: [u8; 4], to: [u8; 4]) -> TraceStep {
        let address = |octets| if octets == [0; 4] { Address::NONE } else { IpAddr::from(octets).into() };
        TraceStep { kind: kind as u32, a, b, c, from: address(from), to: address(to) }
    }

    fn text(steps: &[TraceStep]) -> String {
        let packet = Packet {
            transport: Transport::Tcp,
            source: "198.51.100.7:40000".parse().unwrap(),
            destination: "203.0.113.10:80".parse().unwrap(),
            tcp_flags: flag::SYN,
            fragment: None,
        };
        let names = Names {
            services: names::service_names(&BTreeMap::from([(1, "default/web:http".to_owned())])),
            devices: BTreeMap::from([(2, "eth0".to_owned()), (3, "flannel.1".to_owned())]),
            endpoints: BTreeMap::from([(3, "10.244.1.5:8080".parse().unwrap())]),
        };
        explain(&packet, steps, &names).join("\n")
    }

    #[test]
    fn a_new_flow_to_another_node() {
        insta::assert_snapshot!(text(&[
            step(Step::FlowMiss, 0, 0, 0),
            step(Step::ServiceHit, 1, service::SERVICE_EXTERNAL_IP, 251),
            step(Step::RingSlot, 17, 3, 0),
            between(Step::Backend, [u32::from(8080u16.to_be()), 0, 0], [0; 4], [10, 244, 1, 5]),
            between(Step::Fib, [0, 2, 0], [172, 18, 0, 2], [0; 4]),
            step(Step::SourcePort, 51_234, 0, 0),
            between(Step::Rewrite, [51_234 << 16 | 8080, 0, 0], [172, 18, 0, 2], [10, 244, 1, 5]),
            step(Step::Forward, 2, 0, 0),
        ]), @r"
        No flow knows this tuple.
        203.0.113.10:80/TCP is an external IP of Service default/web:http, externalTrafficPolicy Cluster; its ring has 251 slots.
        The tuple's hash picks slot 17 of the ring, which holds backend 3.
        That is endpoint 10.244.1.5:8080, on another node.
        The route leads out of eth0 with source address 172.18.0.2.
        Source port 51234 is free towards the endpoint, at attempt 1.
        The packet becomes 172.18.0.2:51234 -> 10.244.1.5:8080.
        It leaves through eth0.
        ");
    }

    #[test]
    fn an_established_flow_to_a_local_endpoint() {
        insta::assert_snapshot!(text(&[
            step(Step::FlowHit, u32::from(FLOW_LOCAL), 3, 1),
            between(Step::Rewrite, [40_000 << 16 | 8080, 0, 0], [198, 51, 100, 7], [10, 244, 1, 5]),
            step(Step::Pass, 0, 0, 0),
        ]), @r"
        It belongs to a live flow of Service default/web:http to endpoint 10.244.1.5:8080 on this node.
        The packet becomes 198.51.100.7:40000 -> 10.244.1.5:8080.
        It goes on to the node's stack, which delivers it.
        ");
    }

    #[test]
    fn a_reply_that_xdp_leaves_to_tcx() {
        insta::assert_snapshot!(text(&[
            step(Step::FlowHit, u32::from(FLOW_REVERSE | FLOW_VIA_STACK), 3, 1),
            step(Step::LeftToStack, 0, 0, 0),
        ]), @r"
        It is a reply from endpoint 10.244.1.5:8080 on another node, of a live flow of Service default/web:http.
        XDP cannot send it there: it leaves the packet untouched to tcx.
        ");
    }

    #[test]
    fn refusals_and_answers() {
        insta::assert_snapshot!(text(&[
            step(Step::ServiceHit, 1, service::SERVICE_NODE_PORT | SERVICE_LOCAL, 0),
            step(Step::Drop, DropReason::NoLocalEndpoint as u32, 0, 0),
            step(Step::ServiceHit, 7, service::SERVICE_LOAD_BALANCER, 0),
            step(Step::Drop, DropReason::NoEndpoint as u32, 0, 0),
            step(Step::Answer, 0, 0, 0),
            step(Step::ServiceMiss, 0, 0, 0),
            step(Step::CatchAll, 0, 0, 0),
            step(Step::Answer, 3, 0, 0),
        ]), @r"
        203.0.113.10:80/TCP is a node port of Service default/web:http, externalTrafficPolicy Local; it has no endpoint on this node.
        It is refused (no-local-endpoint): externalTrafficPolicy is Local and this node has no endpoint; dropped in silence, as kube-proxy does.
        203.0.113.10:80/TCP is a load-balancer IP of Service number 7, externalTrafficPolicy Cluster; it has no endpoint.
        It is refused (no-endpoint): The Service has no endpoint; answered with a TCP reset or an ICMP port unreachable, within a rate limit.
        Its sender is sent a TCP reset.
        No Service has a frontend 203.0.113.10:80/TCP.
        203.0.113.10 is a VIP of ours: ports without a Service are answered like closed ones.
        Its sender is sent an ICMP port unreachable.
        ");
    }

    #[test]
    fn flows_that_ended_and_routes_that_lead_nowhere() {
        insta::assert_snapshot!(text(&[
            step(Step::NotOurs, 0, 0, 0),
            step(Step::Filtered, 0, 0, 0),
            step(Step::FlowOver, u32::from(tcp::RESET), time::seconds(60), 0),
            step(Step::FlowRestored, 0, 3, 0),
            step(Step::EndpointGone, 9, 0, 0),
            between(Step::Backend, [u32::from(80u16.to_be()), u32::from(BACKEND_LOCAL | BACKEND_TERMINATING), 0], [0; 4], [10, 244, 0, 9]),
            step(Step::Backend, 0, 0, 0),
            step(Step::Fib, 7, 3, 0),
            step(Step::Fib, 4, 0, 0),
            step(Step::Fib, -22i32 as u32, 0, 0),
            step(Step::SourcePort, 40_000, 0, 1),
            TraceStep { kind: 99, a: 1, b: 2, c: 3, ..TraceStep::default() },
        ]), @r"
        It is not an unfragmented IPv4 TCP or UDP packet with sound headers: not ours.
        No frontend, VIP, source port or local endpoint fits it: no table is looked up.
        The flow of this tuple is over (Reset, idle for 60s).
        The flow table had lost this half of the flow to endpoint 10.244.1.5:8080; its restore record brings it back.
        The flow's endpoint, backend 9, is gone.
        That is endpoint 10.244.0.9:80, on this node, terminating.
        The backend's index is free: the endpoint has just been deleted.
        The route leads out of flannel.1; the next hop's link-layer address is not known yet.
        The FIB gives no way: it is not a packet to forward: the address is local, multicast, or no route leads there.
        The FIB look-up failed with code -22.
        The client's source port 40000 is kept.
        Step 99 (1, 2, 3) of another release.
        ");
    }
}
