//! Source ports: claims, collisions, exhaustion, theft of expired claims.

use std::{collections::BTreeSet, net::Ipv4Addr};

use lb_common::{
    abi::{map, program},
    drop_reason::DropReason,
    flow::{Flow, FlowKey},
    service::SERVICE_EXTERNAL_IP,
    snat::PROBES,
    stat::Stat,
    tcp::{CONFIRMED, REPLIED, State, TCP, timeout},
    time::Tick,
};
use lb_tests::{
    lab::{LOCAL_POD, Lab, NODE, OTHER_VIP, REMOTE_POD, frontend},
    packet::{ACK, SYN, SYN_ACK, read, tcp},
};

use crate::setup::{
    FROM, LOCAL, POD_PORT, REMOTE, TO_LOCAL, TO_REMOTE, XDP_DROP, XDP_PASS, XDP_REDIRECT, forward, index,
    key, lab, source_port, tcx, xdp,
};

/// A second VIP that leads to the same endpoints.
fn lab_with_two_vips() -> Lab {
    let mut lab = lab();
    let programs = &mut lab.programs;
    programs
        .set_service(frontend(OTHER_VIP, LOCAL, TCP), 11, SERVICE_EXTERNAL_IP, &[index::LOCAL_TCP])
        .unwrap();
    programs
        .set_service(frontend(OTHER_VIP, REMOTE, TCP), 12, SERVICE_EXTERNAL_IP, &[index::REMOTE_TCP])
        .unwrap();
    lab
}

#[test]
fn two_vips_to_one_remote_endpoint_from_one_client_port_stay_apart() {
    let mut lab = lab_with_two_vips();
    let (first, second) = (tcp(FROM, TO_REMOTE, SYN), tcp(FROM, (OTHER_VIP, REMOTE), SYN));
    assert_eq!((xdp(&lab, &first).verdict, xdp(&lab, &second).verdict), (XDP_REDIRECT, XDP_REDIRECT));
    let ports = [source_port(&forward(&mut lab, &first)), source_port(&forward(&mut lab, &second))];
    assert_ne!(ports[0], ports[1]);
    for (port, vip) in ports.into_iter().zip([TO_REMOTE.0, OTHER_VIP]) {
        let reply = xdp(&lab, &tcp((REMOTE_POD, POD_PORT), (NODE, port), SYN_ACK));
        assert_eq!((read(&reply.packet).src, read(&reply.packet).dst), ((vip, REMOTE), FROM));
    }
}

#[test]
fn two_vips_to_one_local_endpoint_from_one_client_port_stay_apart() {
    let mut lab = lab_with_two_vips();
    let (first, second) = (tcp(FROM, TO_LOCAL, SYN), tcp(FROM, (OTHER_VIP, LOCAL), SYN));
    assert_eq!(read(&xdp(&lab, &first).packet).src, FROM);
    let out = xdp(&lab, &second);
    let source = read(&out.packet).src;
    assert_eq!((out.verdict, source.0), (XDP_PASS, FROM.0));
    assert_ne!(source.1, FROM.1);
    assert_eq!(lab.programs.events(Stat::SourcePortCollision).unwrap(), 1);
    for (client, vip) in [(FROM, TO_LOCAL.0), (source, OTHER_VIP)] {
        let reply = tcx(&lab, program::TCX_EGRESS, &tcp((LOCAL_POD, POD_PORT), client, SYN_ACK));
        assert_eq!((read(&reply.packet).src, read(&reply.packet).dst), ((vip, LOCAL), FROM));
    }
}

#[test]
fn flows_towards_one_endpoint_never_share_a_source_port() {
    let mut lab = lab();
    let mut ports = BTreeSet::new();
    for client in 0..1000 {
        let packet = tcp((FROM.0, 10_000 + client), TO_REMOTE, SYN);
        assert_eq!(xdp(&lab, &packet).verdict, XDP_REDIRECT);
        assert!(ports.insert(source_port(&forward(&mut lab, &packet))), "shared");
    }
}

/// Takes every port that a packet's flow would try, with flows of nobody's.
fn occupy(lab: &mut Lab, packet_key: &FlowKey, holder: Flow) {
    let hash = lb_common::hash::flow(packet_key);
    let (min, max) = (lb_common::snat::PORT_MIN, lb_common::snat::PORT_MAX);
    for attempt in 0..=PROBES {
        let port = lb_common::snat::candidate(hash, attempt, min, max);
        let claim = key((REMOTE_POD, POD_PORT), (NODE, port), TCP);
        lab.programs.hash::<FlowKey, Flow>(map::FLOWS).unwrap().insert(claim, holder, 0).unwrap();
    }
}

fn stranger(lab: &mut Lab) -> Flow {
    let other = tcp(("198.51.100.99".parse().unwrap(), 1), TO_REMOTE, SYN);
    xdp(lab, &other);
    let forward_half = forward(lab, &other);
    forward_half.other(&key(other.src, other.dst, TCP))
}

#[test]
fn a_flow_that_finds_no_free_port_is_dropped_and_counted() {
    let mut lab = lab();
    let holder = stranger(&mut lab);
    occupy(&mut lab, &key(FROM, TO_REMOTE, TCP), holder);
    assert_eq!(xdp(&lab, &tcp(FROM, TO_REMOTE, SYN)).verdict, XDP_DROP);
    assert_eq!(lab.programs.drops(DropReason::SnatPortsExhausted).unwrap(), 1);
    assert_eq!(lab.programs.flow(&key(FROM, TO_REMOTE, TCP)).unwrap(), None);
}

#[test]
fn an_expired_claim_is_stolen() {
    let mut lab = lab();
    // Answered and never confirmed: of a flood, which would hold its ports for hours otherwise.
    let holder = Flow { state: REPLIED, ..stranger(&mut lab) };
    let long_ago = holder.last_seen.wrapping_sub(timeout::OPENING + 60);
    occupy(&mut lab, &key(FROM, TO_REMOTE, TCP), Flow { last_seen: long_ago, ..holder });
    assert_eq!(xdp(&lab, &tcp(FROM, TO_REMOTE, SYN)).verdict, XDP_REDIRECT);
    assert_eq!(lab.programs.events(Stat::PortStolen).unwrap(), 1);
}

/// All source ports that the flow will ask for are a stranger's, last heard of so many ticks ago.
fn occupy_all(lab: &mut Lab, state: State, age: Tick) {
    let holder = stranger(lab);
    let holder = Flow { state, last_seen: holder.last_seen.wrapping_sub(age), ..holder };
    occupy(lab, &key(FROM, TO_REMOTE, TCP), holder);
}

#[test]
fn where_ports_are_scarce_flows_that_no_client_confirmed_give_way() {
    for (state, age, verdict, stolen) in [
        (REPLIED, timeout::SCARCE / 2, XDP_DROP, 0),
        (REPLIED | CONFIRMED, timeout::SCARCE * 2, XDP_DROP, 0),
        (REPLIED, timeout::SCARCE * 2, XDP_REDIRECT, 1),
    ] {
        let mut lab = lab();
        occupy_all(&mut lab, state, age);
        assert_eq!(xdp(&lab, &tcp(FROM, TO_REMOTE, SYN)).verdict, verdict, "state {state}, age {age}");
        assert_eq!(lab.programs.events(Stat::PortStolen).unwrap(), stolen);
    }
}

/// A client's socket whose flow asks first for `port`.
fn rival(port: u16) -> (Ipv4Addr, u16) {
    let (min, max) = (lb_common::snat::PORT_MIN, lb_common::snat::PORT_MAX);
    let first = |from| {
        let hash = lb_common::hash::flow(&key(from, TO_REMOTE, TCP));
        lb_common::snat::candidate(hash, 0, min, max)
    };
    let clients = (1..=u8::MAX).map(|last| Ipv4Addr::new(198, 51, 100, last));
    let mut sockets = clients.flat_map(|client| (1024..=u16::MAX).map(move |number| (client, number)));
    sockets.find(|from| *from != FROM && first(*from) == port).unwrap()
}

#[test]
fn a_living_flow_that_the_table_lost_keeps_its_source_port() {
    let mut lab = lab();
    let opening = tcp(FROM, TO_REMOTE, SYN);
    xdp(&lab, &opening);
    let port = source_port(&forward(&mut lab, &opening));
    let reply = tcp((REMOTE_POD, POD_PORT), (NODE, port), SYN_ACK);
    xdp(&lab, &reply);
    xdp(&lab, &tcp(FROM, TO_REMOTE, ACK));
    lab.programs.hash::<FlowKey, Flow>(map::FLOWS).unwrap().remove(&key(reply.src, reply.dst, TCP)).unwrap();

    let other = tcp(rival(port), TO_REMOTE, SYN);
    assert_eq!(xdp(&lab, &other).verdict, XDP_REDIRECT);
    assert_ne!(source_port(&forward(&mut lab, &other)), port);
    assert_eq!(lab.programs.events(Stat::PortProbes).unwrap(), 1);
    let reply = xdp(&lab, &reply);
    assert_eq!((read(&reply.packet).src, read(&reply.packet).dst), (TO_REMOTE, FROM));
}

#[test]
fn the_choice_of_endpoint_is_the_rings_and_spreads_evenly() {
    let mut lab = lab();
    let pods: Vec<Ipv4Addr> = (1..=4).map(|n| Ipv4Addr::new(10, 244, 2, 100 + n)).collect();
    for (number, pod) in (20..).zip(&pods) {
        lab.programs.set_backend(number, lb_tests::lab::endpoint(*pod, POD_PORT, TCP)).unwrap();
    }
    lab.programs
        .set_service(frontend(OTHER_VIP, 80, TCP), 20, SERVICE_EXTERNAL_IP, &[20, 21, 22, 23])
        .unwrap();
    let mut hits = [0; 4];
    for client in 0..2000 {
        let out = xdp(&lab, &tcp((FROM.0, 20_000 + client), (OTHER_VIP, 80), SYN));
        let chosen = read(&out.packet).dst.0;
        hits[pods.iter().position(|pod| *pod == chosen).unwrap()] += 1;
    }
    assert!(hits.iter().all(|n| (400..600).contains(n)), "{hits:?}");
}
