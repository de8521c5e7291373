//! Direct server return and session affinity, in IPv4.

use std::net::SocketAddr;

use anyhow::Result;
use lb_common::{
    abi::{map, program},
    address::Address,
    service::{SERVICE_CATCH_ALL, SERVICE_DSR, ServiceKey},
};

use super::{
    Case, PASS, Packets, REDIRECT,
    network::{ENDPOINTS, IPV4, LOCAL_ENDPOINT},
    packets::{ack, syn, tunnelled},
};
use crate::{lab::Lab, prog::run};

/// Encapsulated here.
const DSR_PORT: u16 = 82;
/// Encapsulated by the other node.
const TUNNELLED_PORT: u16 = 83;
const AFFINITY_PORT: u16 = 84;
/// Of the catch-all that makes the VIP one of ours.
const CATCH_ALL: u32 = 4;
/// `sessionAffinityConfig.clientIP.timeoutSeconds` by default.
const AFFINITY_TIMEOUT: u32 = 10_800;

/// Opens the flows and lists the cases.
pub(super) fn cases(lab: &mut Lab, services: u32, flows: u32) -> Result<Vec<Case>> {
    IPV4.set_endpoints(lab)?;
    let from_other_node = lab.devices.down;
    let remote: Vec<u32> = (1..=ENDPOINTS).collect();
    let programs = &mut lab.programs;
    IPV4.set_frontend(programs, (1, DSR_PORT), &remote, |service| service.flags |= SERVICE_DSR)?;
    IPV4.set_frontend(programs, (2, TUNNELLED_PORT), &[LOCAL_ENDPOINT], |service| {
        service.flags |= SERVICE_DSR;
        (service.local_ring, service.local_ring_size) = (service.ring, service.ring_size);
    })?;
    IPV4.set_frontend(programs, (3, AFFINITY_PORT), &remote, |service| {
        service.affinity = AFFINITY_TIMEOUT;
    })?;
    programs.set_empty_service(ServiceKey::catch_all(IPV4.vip.into()), CATCH_ALL, SERVICE_CATCH_ALL)?;
    programs.hash::<Address, u32>(map::PEERS)?.insert(Address::from(IPV4.other_node), 1, 0)?;
    IPV4.crowd(programs, CATCH_ALL + 1, services)?;
    let to = |port| SocketAddr::new(IPV4.vip, port);
    let every = |packet: &dyn Fn(u32) -> Vec<u8>| (0..flows).map(packet).collect::<Vec<_>>();
    let sent = every(&|n| ack(IPV4.client(n), to(DSR_PORT)));
    let tunnelled = |n| tunnelled(IPV4.other_node, IPV4.node, &ack(IPV4.client(n), to(TUNNELLED_PORT)));
    let received = every(&tunnelled);
    let kept = every(&|n| ack(IPV4.returning_client(n, flows), to(AFFINITY_PORT)));
    let program = programs.xdp(program::XDP);
    for packet in sent.iter().chain(&kept) {
        run(program, packet, None)?;
    }
    for packet in &received {
        run(program, packet, Some(from_other_node))?;
    }
    let new_sent = move |n| syn(IPV4.client(n), to(DSR_PORT));
    let new_kept = move |n| syn(IPV4.returning_client(n, flows), to(AFFINITY_PORT));
    let case = |name: &str, verdict, packets| Case { name: name.to_owned(), verdict, ingress: None, packets };
    Ok(vec![
        case("DSR, established, encapsulated", REDIRECT, Packets::Cycle(sent)),
        Case {
            ingress: Some(from_other_node),
            ..case("DSR, established, decapsulated (and DNAT)", PASS, Packets::Cycle(received))
        },
        case("DSR, new flow, encapsulated", REDIRECT, Packets::New(Box::new(new_sent))),
        case("affinity, established, remote endpoint", REDIRECT, Packets::Cycle(kept)),
        case("affinity, new flow of a known client", REDIRECT, Packets::New(Box::new(new_kept))),
    ])
}
