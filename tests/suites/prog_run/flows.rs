//! The life of a flow: state, ageing, evicted halves, endpoints that go away.

use lb_common::{
    abi::{map, program},
    backend::Backend,
    drop_reason::DropReason,
    flow::{FLOW_REVERSE, Flow, FlowKey, REFRESH, RestoreBucket},
    service::SERVICE_EXTERNAL_IP,
    stat::Stat,
    tcp::{CLIENT_FIN, CONFIRMED, ENDPOINT_FIN, REPLIED, RESET, State, TCP, UDP, timeout},
};
use lb_tests::{
    lab::{LOCAL_POD, Lab, NODE, REMOTE_POD, VIP, endpoint, frontend},
    packet::{ACK, FIN, RST, SYN, SYN_ACK, Spec, read, tcp, udp},
};

use crate::setup::{
    FROM, POD_PORT, REMOTE, TC_NEXT, TO_LOCAL, TO_REMOTE, XDP_PASS, XDP_REDIRECT, XDP_TX, forward, index,
    key, lab, source_port, tcx, xdp,
};

const POD: (std::net::Ipv4Addr, u16) = (REMOTE_POD, POD_PORT);
/// An endpoint that comes later.
const NEWCOMER: std::net::Ipv4Addr = std::net::Ipv4Addr::new(10, 244, 2, 77);

/// What both halves know once the client has answered the answer.
const ESTABLISHED: State = REPLIED | CONFIRMED;

/// Sends a SYN to the remote endpoint and its answer back; the node's side of the connection.
fn open(lab: &mut Lab) -> (std::net::Ipv4Addr, u16) {
    let packet = tcp(FROM, TO_REMOTE, SYN);
    assert_eq!(xdp(lab, &packet).verdict, XDP_REDIRECT);
    let source = (NODE, source_port(&forward(lab, &packet)));
    assert_eq!(xdp(lab, &tcp(POD, source, SYN_ACK)).verdict, XDP_REDIRECT);
    source
}

/// Opens a connection to the remote endpoint and returns the node's side of it.
fn connect(lab: &mut Lab) -> (std::net::Ipv4Addr, u16) {
    let source = open(lab);
    assert_eq!(xdp(lab, &tcp(FROM, TO_REMOTE, ACK)).verdict, XDP_REDIRECT);
    source
}

fn halves(lab: &mut Lab, source: (std::net::Ipv4Addr, u16)) -> [Option<Flow>; 2] {
    [key(FROM, TO_REMOTE, TCP), key(POD, source, TCP)].map(|key| lab.programs.flow(&key).unwrap())
}

fn evict(lab: &mut Lab, key: &FlowKey) {
    lab.programs.hash::<FlowKey, Flow>(map::FLOWS).unwrap().remove(key).unwrap();
}

fn records(lab: &mut Lab) -> usize {
    let restore = lab.programs.array::<RestoreBucket>(map::RESTORE).unwrap();
    let buckets = (0..restore.len()).map(|bucket| restore.get(&bucket, 0).unwrap());
    buckets.flat_map(|bucket| bucket.ways).filter(|record| record.written != 0).count()
}

fn forget_records(lab: &mut Lab) {
    let mut restore = lab.programs.array::<RestoreBucket>(map::RESTORE).unwrap();
    for bucket in 0..restore.len() {
        restore.set(bucket, RestoreBucket::default(), 0).unwrap();
    }
}

/// Makes a half look as if it was last used `age` ticks ago.
fn age(lab: &mut Lab, key: &FlowKey, age: u32) {
    let flow = lab.programs.flow(key).unwrap().unwrap();
    let aged = Flow { last_seen: flow.last_seen.wrapping_sub(age), ..flow };
    lab.programs.hash::<FlowKey, Flow>(map::FLOWS).unwrap().insert(key, aged, 0).unwrap();
}

#[test]
fn both_halves_see_what_either_side_says() {
    let mut lab = lab();
    let source = open(&mut lab);
    let states = |lab: &mut Lab| halves(lab, source).map(|half| half.unwrap().state);
    assert_eq!(states(&mut lab), [REPLIED; 2]);
    xdp(&lab, &tcp(FROM, TO_REMOTE, ACK));
    assert_eq!(states(&mut lab), [ESTABLISHED; 2]);
    xdp(&lab, &tcp(FROM, TO_REMOTE, FIN));
    assert_eq!(states(&mut lab), [ESTABLISHED | CLIENT_FIN; 2]);
    xdp(&lab, &tcp(POD, source, FIN));
    assert_eq!(states(&mut lab), [ESTABLISHED | CLIENT_FIN | ENDPOINT_FIN; 2]);
    xdp(&lab, &tcp(POD, source, RST));
    assert_eq!(states(&mut lab), [ESTABLISHED | CLIENT_FIN | ENDPOINT_FIN | RESET; 2]);
}

#[test]
fn a_flood_from_forged_addresses_keeps_no_record_though_every_one_is_answered() {
    let mut lab = lab();
    let source = open(&mut lab);
    xdp(&lab, &tcp(FROM, TO_REMOTE, SYN));
    xdp(&lab, &tcp(FROM, TO_REMOTE, RST));
    xdp(&lab, &tcp(POD, source, SYN_ACK));
    let request = udp(FROM, TO_REMOTE);
    xdp(&lab, &request);
    let source = (NODE, source_port(&forward(&mut lab, &request)));
    xdp(&lab, &udp(POD, source));
    assert_eq!(records(&mut lab), 0);
    xdp(&lab, &request);
    assert_eq!(records(&mut lab), 2, "both halves, once the client goes on after an answer");
}

#[test]
fn a_lost_forward_half_is_restored_with_the_same_source_port() {
    let mut lab = lab();
    let source = connect(&mut lab);
    evict(&mut lab, &key(FROM, TO_REMOTE, TCP));
    let out = xdp(&lab, &tcp(FROM, TO_REMOTE, ACK));
    assert_eq!((out.verdict, read(&out.packet).src), (XDP_REDIRECT, source));
}

#[test]
fn a_lost_forward_half_is_found_by_probing_where_its_record_is_lost_too() {
    let mut lab = lab();
    let source = connect(&mut lab);
    evict(&mut lab, &key(FROM, TO_REMOTE, TCP));
    forget_records(&mut lab);
    let out = xdp(&lab, &tcp(FROM, TO_REMOTE, ACK));
    assert_eq!((out.verdict, read(&out.packet).src), (XDP_REDIRECT, source));
    assert_eq!(halves(&mut lab, source).map(|half| half.unwrap().state), [REPLIED, ESTABLISHED]);
}

#[test]
fn a_lost_reverse_half_is_restored_by_the_reply_itself() {
    let mut lab = lab();
    let source = connect(&mut lab);
    evict(&mut lab, &key(POD, source, TCP));
    let out = xdp(&lab, &tcp(POD, source, ACK));
    assert_eq!((out.verdict, read(&out.packet).src, read(&out.packet).dst), (XDP_REDIRECT, TO_REMOTE, FROM));
    assert!(lab.programs.events(Stat::HalfRestored).unwrap() >= 1);
}

#[test]
fn a_lost_reverse_half_is_put_back_by_the_forward_half_before_long() {
    let mut lab = lab();
    let source = connect(&mut lab);
    evict(&mut lab, &key(POD, source, TCP));
    age(&mut lab, &key(FROM, TO_REMOTE, TCP), REFRESH + 1);
    xdp(&lab, &tcp(FROM, TO_REMOTE, ACK));
    let reverse = halves(&mut lab, source)[1].unwrap();
    assert_eq!((reverse.flags & FLOW_REVERSE, reverse.state), (FLOW_REVERSE, ESTABLISHED));
}

#[test]
fn a_flow_that_lost_both_halves_goes_on() {
    let mut lab = lab();
    let source = connect(&mut lab);
    evict(&mut lab, &key(FROM, TO_REMOTE, TCP));
    evict(&mut lab, &key(POD, source, TCP));
    let out = xdp(&lab, &tcp(POD, source, ACK));
    assert_eq!((out.verdict, read(&out.packet).dst), (XDP_REDIRECT, FROM));
    assert!(halves(&mut lab, source).iter().all(Option::is_some));
}

#[test]
fn a_local_flow_survives_the_loss_of_either_half() {
    let mut lab = lab();
    let pod = (LOCAL_POD, POD_PORT);
    let (packet, reply) = (tcp(FROM, TO_LOCAL, ACK), tcp(pod, FROM, ACK));
    xdp(&lab, &tcp(FROM, TO_LOCAL, SYN));
    tcx(&lab, program::TCX_EGRESS, &tcp(pod, FROM, SYN_ACK));
    xdp(&lab, &packet);
    for lost in [key(pod, FROM, TCP), key(FROM, TO_LOCAL, TCP)] {
        evict(&mut lab, &lost);
        let out = tcx(&lab, program::TCX_EGRESS, &reply);
        assert_eq!((out.verdict, read(&out.packet).src), (TC_NEXT, TO_LOCAL));
        let out = xdp(&lab, &packet);
        assert_eq!((out.verdict, read(&out.packet).dst), (XDP_PASS, pod));
    }
}

/// New flows of the remote frontend go to `newcomer` instead of the endpoint of this index.
fn replace_in_ring(lab: &mut Lab, replaced: u32, newcomer: Backend) {
    let protocol = newcomer.protocol;
    lab.programs.set_backend(30, newcomer).unwrap();
    lab.programs.set_service(frontend(VIP, REMOTE, protocol), replaced, SERVICE_EXTERNAL_IP, &[30]).unwrap();
}

#[test]
fn an_evicted_connection_keeps_its_endpoint_though_the_ring_changed() {
    let mut lab = lab();
    let source = connect(&mut lab);
    replace_in_ring(&mut lab, index::REMOTE_TCP, endpoint(NEWCOMER, POD_PORT, TCP));
    evict(&mut lab, &key(FROM, TO_REMOTE, TCP));
    let out = xdp(&lab, &tcp(FROM, TO_REMOTE, ACK));
    assert_eq!((read(&out.packet).src, read(&out.packet).dst), (source, POD));
}

fn delete_endpoint(lab: &mut Lab, deleted: u32, newcomer: Backend) {
    replace_in_ring(lab, deleted, newcomer);
    lab.programs.set_backend(deleted, Backend { generation: 2, ..Backend::default() }).unwrap();
    lab.programs.set_epoch(2).unwrap();
}

#[test]
fn udp_moves_to_another_endpoint_at_once_when_its_own_is_deleted() {
    let mut lab = lab();
    let packet = udp(FROM, TO_REMOTE);
    xdp(&lab, &packet);
    delete_endpoint(&mut lab, index::REMOTE_UDP, endpoint(NEWCOMER, POD_PORT, UDP));
    let out = xdp(&lab, &packet);
    assert_eq!((out.verdict, read(&out.packet).dst.0), (XDP_REDIRECT, NEWCOMER));
    assert_eq!(lab.programs.events(Stat::Reselected).unwrap(), 1);
    let source = (NODE, source_port(&forward(&mut lab, &packet)));
    assert_eq!(read(&xdp(&lab, &udp((NEWCOMER, POD_PORT), source)).packet).dst, FROM);
}

#[test]
fn a_connection_to_a_deleted_endpoint_is_reset_and_a_new_one_goes_elsewhere() {
    let mut lab = lab();
    connect(&mut lab);
    delete_endpoint(&mut lab, index::REMOTE_TCP, endpoint(NEWCOMER, POD_PORT, TCP));
    let out = xdp(&lab, &tcp(FROM, TO_REMOTE, ACK));
    let seen = read(&out.packet);
    assert_eq!((out.verdict, seen.src, seen.dst), (XDP_TX, TO_REMOTE, FROM));
    assert!(seen.tcp.unwrap().rst);
    assert_eq!(lab.programs.drops(DropReason::EndpointGone).unwrap(), 1);
    assert_eq!(read(&xdp(&lab, &tcp(FROM, TO_REMOTE, SYN)).packet).dst.0, NEWCOMER);
}

#[test]
fn a_connection_goes_on_while_its_endpoint_is_merely_out_of_the_ring() {
    let mut lab = lab();
    let source = connect(&mut lab);
    replace_in_ring(&mut lab, index::REMOTE_TCP, endpoint(NEWCOMER, POD_PORT, TCP));
    lab.programs.set_epoch(2).unwrap();
    let out = xdp(&lab, &tcp(FROM, TO_REMOTE, ACK));
    assert_eq!((read(&out.packet).src, read(&out.packet).dst), (source, POD));
}

#[test]
fn a_closed_connections_port_can_be_used_anew() {
    let mut lab = lab();
    let source = connect(&mut lab);
    xdp(&lab, &tcp(FROM, TO_REMOTE, FIN));
    xdp(&lab, &tcp(POD, source, FIN));
    assert_eq!(xdp(&lab, &tcp(FROM, TO_REMOTE, SYN)).verdict, XDP_REDIRECT);
    assert_eq!(forward(&mut lab, &tcp(FROM, TO_REMOTE, SYN)).state, 0);
    assert_eq!(lab.programs.service_stats(index::REMOTE_TCP).unwrap().new_flows, 2);
}

#[test]
fn a_forged_reset_does_not_end_a_connection() {
    let mut lab = lab();
    let source = connect(&mut lab);
    xdp(&lab, &tcp(FROM, TO_REMOTE, RST));
    for half in [key(FROM, TO_REMOTE, TCP), key(POD, source, TCP)] {
        age(&mut lab, &half, timeout::RESET * 2);
    }
    let out = xdp(&lab, &tcp(FROM, TO_REMOTE, ACK));
    assert_eq!((out.verdict, read(&out.packet).src, read(&out.packet).dst), (XDP_REDIRECT, source, POD));
    let out = xdp(&lab, &tcp(POD, source, ACK));
    assert_eq!((out.verdict, read(&out.packet).src, read(&out.packet).dst), (XDP_REDIRECT, TO_REMOTE, FROM));
}

#[test]
fn an_idle_flow_is_over_after_its_time() {
    let mut lab = lab();
    for (packet, idle) in
        [(udp(FROM, TO_REMOTE), timeout::UDP_OPENING), (tcp(FROM, TO_REMOTE, SYN), timeout::OPENING)]
    {
        let protocol = if packet.tcp.is_some() { TCP } else { UDP };
        xdp(&lab, &packet);
        let opened = forward(&mut lab, &packet).opened;
        age(&mut lab, &key(FROM, TO_REMOTE, protocol), idle - REFRESH);
        xdp(&lab, &packet);
        assert_eq!(forward(&mut lab, &packet).opened, opened, "still alive");
        let flow = forward(&mut lab, &packet);
        let aged = Flow { opened: 1, ..flow };
        lab.programs
            .hash::<FlowKey, Flow>(map::FLOWS)
            .unwrap()
            .insert(key(FROM, TO_REMOTE, protocol), aged, 0)
            .unwrap();
        age(&mut lab, &key(FROM, TO_REMOTE, protocol), idle + 1);
        xdp(&lab, &packet);
        assert_ne!(forward(&mut lab, &packet).opened, 1, "opened anew");
    }
}

#[test]
fn packets_of_a_living_flow_stamp_it() {
    let mut lab = lab();
    let source = connect(&mut lab);
    let keys = [key(FROM, TO_REMOTE, TCP), key(POD, source, TCP)];
    for half in &keys {
        age(&mut lab, half, REFRESH * 10);
    }
    let before = halves(&mut lab, source).map(|half| half.unwrap().last_seen);
    xdp(&lab, &tcp(FROM, TO_REMOTE, ACK));
    let after = halves(&mut lab, source).map(|half| half.unwrap().last_seen);
    assert!(
        after.iter().zip(before).all(|(after, before)| after.wrapping_sub(before) >= REFRESH * 9),
        "{before:?} {after:?}"
    );
}

#[test]
fn a_direct_connection_to_a_pod_is_not_taken_for_an_old_one_through_the_vip() {
    let lab = lab();
    let pod = (LOCAL_POD, POD_PORT);
    xdp(&lab, &tcp(FROM, TO_LOCAL, SYN));
    tcx(&lab, program::TCX_EGRESS, &tcp(pod, FROM, SYN_ACK));
    tcx(&lab, program::TCX_EGRESS, &tcp(pod, FROM, RST));
    let direct = tcp(pod, FROM, SYN_ACK);
    let out = tcx(&lab, program::TCX_EGRESS, &direct);
    assert_eq!((out.verdict, out.packet), (TC_NEXT, direct.build()));
}

#[test]
fn an_established_flow_outlives_its_frontend() {
    let mut lab = lab();
    let source = connect(&mut lab);
    let services = map::SERVICES;
    lab.programs
        .hash::<lb_common::service::ServiceKey, lb_common::service::Service>(services)
        .unwrap()
        .remove(&frontend(VIP, REMOTE, TCP))
        .unwrap();
    assert_eq!(read(&xdp(&lab, &tcp(FROM, TO_REMOTE, ACK)).packet).src, source);
}

#[test]
fn a_connection_opened_on_another_node_is_taken_over_in_its_middle() {
    let mut lab = lab();
    let packet = Spec { payload: Vec::new(), ..tcp(FROM, TO_LOCAL, ACK) };
    assert_eq!(xdp(&lab, &packet).verdict, XDP_PASS);
    assert_eq!(forward(&mut lab, &packet).state, REPLIED);
}
