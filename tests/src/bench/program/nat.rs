//! Packets that are translated, and some that are not for a Service.

use std::net::SocketAddr;

use anyhow::{Result, ensure};
use lb_common::abi::program;

use super::{
    Case, PASS, Packets, REDIRECT,
    network::{ENDPOINTS, LOCAL_ENDPOINT, Network},
    packets::{ack, datagram, ends, syn},
};
use crate::{lab::Lab, prog::run};

const REMOTE_PORT: u16 = 80;
const LOCAL_PORT: u16 = 81;
/// Where nothing listens.
const OTHER_PORT: u16 = 8472;

/// Opens the flows and lists the cases.
pub(super) fn cases(
    lab: &mut Lab,
    network: &'static Network,
    services: u32,
    flows: u32,
) -> Result<Vec<Case>> {
    network.set_endpoints(lab)?;
    let remote: Vec<u32> = (1..=ENDPOINTS).collect();
    network.set_frontend(&mut lab.programs, (1, REMOTE_PORT), &remote, |_| ())?;
    network.set_frontend(&mut lab.programs, (2, LOCAL_PORT), &[LOCAL_ENDPOINT], |_| ())?;
    network.crowd(&mut lab.programs, 3, services)?;
    let to = |port| SocketAddr::new(network.vip, port);
    let forward: Vec<_> = (0..flows).map(|n| ack(network.client(n), to(REMOTE_PORT))).collect();
    let local: Vec<_> = (0..flows).map(|n| ack(network.client(n), to(LOCAL_PORT))).collect();
    let program = lab.programs.xdp(program::XDP);
    let mut replies = Vec::with_capacity(forward.len());
    for packet in &forward {
        let sent = run(program, packet, None)?;
        ensure!(sent.verdict == REDIRECT, "a new flow to a remote endpoint ended as {}", sent.verdict);
        let (source, endpoint) = ends(&sent.packet)?;
        replies.push(ack(endpoint, source));
    }
    for packet in local.iter().chain(&replies) {
        run(program, packet, None)?;
    }
    let other = SocketAddr::new(network.node, OTHER_PORT);
    let strangers = (0..flows.min(1000)).map(|n| datagram(network.client(n), other)).collect();
    let case = |name, verdict, packets| Case {
        name: format!("{}{name}", network.title),
        verdict,
        ingress: None,
        packets,
    };
    let new = move |n| syn(network.client(n), to(REMOTE_PORT));
    Ok(vec![
        case("not a service", PASS, Packets::Cycle(strangers)),
        case("established, local endpoint (DNAT)", PASS, Packets::Cycle(local)),
        case("established, remote endpoint (DNAT+SNAT)", REDIRECT, Packets::Cycle(forward)),
        case("reply of a remote endpoint", REDIRECT, Packets::Cycle(replies)),
        case("new flow, remote endpoint", REDIRECT, Packets::New(Box::new(new))),
    ])
}
