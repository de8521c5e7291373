//! What most of these tests start from: one Service port on a local and one on a remote pod, TCP and UDP.

use std::net::Ipv4Addr;

use lb_common::{
    abi::program,
    address::Address,
    flow::{Flow, FlowKey},
    service::{SERVICE_CATCH_ALL, SERVICE_EXTERNAL_IP, ServiceKey},
    tcp::{TCP, UDP},
};
use lb_tests::{
    lab::{CLIENT, LOCAL_POD, Lab, REMOTE_POD, VIP, be, endpoint, frontend},
    packet::Spec,
    prog::{Run, run},
};

pub(crate) const XDP_DROP: u32 = 1;
pub(crate) const XDP_PASS: u32 = 2;
pub(crate) const XDP_TX: u32 = 3;
pub(crate) const XDP_REDIRECT: u32 = 4;
pub(crate) const TC_NEXT: u32 = u32::MAX;
pub(crate) const TC_SHOT: u32 = 2;
pub(crate) const TC_REDIRECT: u32 = 7;

/// Frontend port of the Service whose endpoint is local.
pub(crate) const LOCAL: u16 = 80;
/// Frontend port of the Service whose endpoint is on node-b.
pub(crate) const REMOTE: u16 = 81;
/// Port of every pod.
pub(crate) const POD_PORT: u16 = 8080;
/// The client's port.
pub(crate) const CLIENT_PORT: u16 = 40_000;

pub(crate) const FROM: (Ipv4Addr, u16) = (CLIENT, CLIENT_PORT);
pub(crate) const TO_LOCAL: (Ipv4Addr, u16) = (VIP, LOCAL);
pub(crate) const TO_REMOTE: (Ipv4Addr, u16) = (VIP, REMOTE);

/// Backend indices of [`lab`].
pub(crate) mod index {
    pub(crate) const LOCAL_TCP: u32 = 1;
    pub(crate) const LOCAL_UDP: u32 = 2;
    pub(crate) const REMOTE_TCP: u32 = 3;
    pub(crate) const REMOTE_UDP: u32 = 4;
}

pub(crate) fn lab() -> Lab {
    let mut lab = Lab::pooled().unwrap();
    let programs = &mut lab.programs;
    let endpoints = [
        (index::LOCAL_TCP, LOCAL_POD, TCP, LOCAL),
        (index::LOCAL_UDP, LOCAL_POD, UDP, LOCAL),
        (index::REMOTE_TCP, REMOTE_POD, TCP, REMOTE),
        (index::REMOTE_UDP, REMOTE_POD, UDP, REMOTE),
    ];
    for (index, pod, protocol, port) in endpoints {
        programs.set_backend(index, endpoint(pod, POD_PORT, protocol)).unwrap();
        programs.set_service(frontend(VIP, port, protocol), index, SERVICE_EXTERNAL_IP, &[index]).unwrap();
    }
    programs.set_empty_service(ServiceKey::catch_all(Address::v4(be(VIP))), 0, SERVICE_CATCH_ALL).unwrap();
    lab
}

pub(crate) fn xdp(lab: &Lab, packet: &Spec) -> Run {
    run(lab.programs.xdp(program::XDP), &packet.build(), None).unwrap()
}

pub(crate) fn tcx(lab: &Lab, name: &str, packet: &Spec) -> Run {
    run(lab.programs.tcx(name), &packet.build(), None).unwrap()
}

pub(crate) fn key(src: (Ipv4Addr, u16), dst: (Ipv4Addr, u16), protocol: u8) -> FlowKey {
    FlowKey::new(be(src.0), be(dst.0), src.1.to_be(), dst.1.to_be(), protocol)
}

/// The forward half of a packet's flow.
pub(crate) fn forward(lab: &mut Lab, packet: &Spec) -> Flow {
    let protocol = if packet.tcp.is_some() { TCP } else { UDP };
    lab.programs.flow(&key(packet.src, packet.dst, protocol)).unwrap().expect("the flow was opened")
}

/// Source port that a flow was given.
pub(crate) fn source_port(flow: &Flow) -> u16 {
    u16::from_be(flow.src_port_be)
}
