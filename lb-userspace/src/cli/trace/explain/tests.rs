use lb_common::{flow::FLOW_VIA_STACK, service, tcp::flag};

use super::*;

fn step(kind: Step, a: u32, b: u32, c: u32) -> TraceStep {
    TraceStep { kind: kind as u32, a, b, c, ..TraceStep::default() }
}

fn between(kind: Step, [a, b, c]: [u32; 3], from: [u8; 4], to: [u8; 4]) -> TraceStep {
    let address = |octets| if octets == [0; 4] { Address::NONE } else { IpAddr::from(octets).into() };
    TraceStep { kind: kind as u32, a, b, c, from: address(from), to: address(to) }
}

fn packet(transport: Transport, [source, destination]: [&str; 2]) -> Packet {
    let (source, destination) = (source.parse().unwrap(), destination.parse().unwrap());
    Packet { transport, source, destination, tcp_flags: flag::SYN, fragment: None }
}

fn text(steps: &[TraceStep]) -> String {
    let packet = packet(Transport::Tcp, ["198.51.100.7:40000", "203.0.113.10:80"]);
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
    Its hash picks slot 17 of the ring, which holds backend 3.
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
        TraceStep { b: 2, from: IpAddr::from([0; 4]).into(), ..step(Step::Fib, 0, 2, 0) },
        step(Step::Fib, 7, 3, 0),
        step(Step::Fib, 4, 0, 0),
        step(Step::Fib, -22i32 as u32, 0, 0),
        step(Step::SourcePort, 40_000, 0, 1),
        TraceStep { kind: 99, a: 1, b: 2, c: 3, ..TraceStep::default() },
    ]), @r"
    It is no IP packet with sound headers, or nothing that a frontend serves: not ours.
    No frontend, VIP, source port or local endpoint fits it: no table is looked up.
    The flow of this tuple is over (Reset, idle for 60s).
    The flow table had lost this half of the flow to endpoint 10.244.1.5:8080; its restore record brings it back.
    The flow's endpoint, backend 9, is gone.
    That is endpoint 10.244.0.9:80, on this node, terminating.
    The backend's index is free: the endpoint has just been deleted.
    The route leads out of eth0.
    The route leads out of flannel.1; the next hop's link-layer address is not known yet.
    The FIB gives no way: it is not a packet to forward: the address is local, multicast, or no route leads there.
    The FIB look-up failed with code -22.
    The client's source port 40000 is kept.
    Step 99 (1, 2, 3) of another release.
    ");
}

#[test]
fn what_dual_stack_traffic_meets() {
    insta::assert_snapshot!(text(&[
        step(Step::ServiceHit, 1, service::SERVICE_LOAD_BALANCER | SERVICE_DSR, 251),
        step(Step::SourceRange, 1, 0, 0),
        step(Step::SourceRange, 0, 0, 0),
        step(Step::AffinityHit, 3, 0, 0),
        between(Step::Hairpin, [0; 3], [169, 254, 83, 76], [0; 4]),
        between(Step::Encapsulated, [0; 3], [172, 18, 0, 2], [172, 18, 0, 3]),
        between(Step::Decapsulated, [0; 3], [172, 18, 0, 2], [172, 18, 0, 3]),
        step(Step::FlowHit, u32::from(FLOW_ENCAPSULATED), 3, 1),
        step(Step::FlowHit, u32::from(FLOW_HAIRPIN), 3, 1),
        step(Step::FragmentFollowed, 40_000 << 16 | 80, 0, 0),
        step(Step::FragmentUnmatched, 0, 0, 0),
        step(Step::Echo, 0, 0, 0),
        between(Step::ErrorTranslated, [3, 4, 0], [203, 0, 113, 10], [198, 51, 100, 7]),
        step(Step::TooBig, 1500, 1480, 0),
        step(Step::Answer, 3, 4, 0),
    ]), @r"
    203.0.113.10:80/TCP is a load-balancer IP of Service default/web:http, externalTrafficPolicy Cluster, direct server return; its ring has 251 slots.
    The client is inside the Service's loadBalancerSourceRanges.
    The client is outside the Service's loadBalancerSourceRanges.
    sessionAffinity: the client's earlier flows went to endpoint 10.244.1.5:8080, and so does this one.
    Replies would not pass an uplink of this node: the endpoint sees 169.254.83.76 as the client.
    Direct server return: it travels inside a header from 172.18.0.2 to the endpoint's node 172.18.0.3.
    Node 172.18.0.2 sent it here inside another header, which is taken off.
    It belongs to a live flow of Service default/web:http, encapsulated to the node of endpoint 10.244.1.5:8080.
    It belongs to a live flow of Service default/web:http to endpoint 10.244.1.5:8080 on this node.
    It is a later fragment; the first one of its datagram had the ports 40000 -> 80.
    It is a later fragment, and the first one of its datagram was not seen.
    It is an echo request to a VIP of ours, which is answered here.
    It is an ICMP error (type 3, code 4) about a packet of that flow; it becomes 203.0.113.10 -> 198.51.100.7, and so does the packet that it quotes.
    Its 1500 bytes are more than the 1480 that the way on takes.
    Its sender is sent an ICMP fragmentation needed.
    ");
}

#[test]
fn answers_are_named_after_protocol_and_family() {
    let answers = |ends: [&str; 2], transport| {
        let packet = packet(transport, ends);
        [(0, 0), (1, 4), (2, 0), (3, 3), (3, 4), (11, 0)].map(|(kind, code)| answer(&packet, kind, code))
    };
    let v6 = answers(["[2001:db8::7]:40000", "[2001:db8:f::10]:80"], Transport::Tcp);
    assert_eq!(
        v6[..4],
        ["a TCP reset", "an ICMPv6 port unreachable", "an ICMPv6 packet too big", "an ICMPv6 time exceeded"]
    );
    let v4 = answers(["198.51.100.7:40000", "203.0.113.10:80"], Transport::Udp);
    assert_eq!(
        v4[3..],
        ["an ICMP port unreachable", "an ICMP fragmentation needed", "an ICMP time exceeded"]
    );
    assert_eq!(answers(["198.51.100.7:0", "203.0.113.10:0"], Transport::Icmp)[0], "an ICMP echo reply");
}

#[test]
fn every_step_has_a_sentence_of_its_own() {
    let steps: Vec<_> = (1..=u32::from(u8::MAX)).filter_map(Step::from_u32).collect();
    assert!(steps.len() >= 30, "{steps:?}");
    let mut sentences = BTreeMap::new();
    for kind in steps {
        let sentence = text(&[step(kind, 0, 0, 0)]);
        assert!(sentence.ends_with('.') && !sentence.contains("another release"), "{kind:?}: {sentence}");
        if let Some(other) = sentences.insert(sentence.clone(), kind) {
            panic!("{other:?} and {kind:?} read the same: {sentence}");
        }
    }
}

#[test]
fn every_drop_reason_is_said_with_its_name_and_its_sentence() {
    for reason in DropReason::ALL {
        let sentence = text(&[step(Step::Drop, reason as u32, 0, 0)]);
        assert!(sentence.contains(reason.as_str()) && sentence.ends_with(reason.describe()), "{sentence}");
        assert!(reason.describe().ends_with('.'), "{sentence}");
    }
}
