//! What a node serves at the start of a sequence, and how that changes.

use std::net::IpAddr;

use fastrand::Rng;
use lb_common::{
    backend::{BACKEND_LOCAL, BACKEND_TERMINATING},
    interface::{INTERFACE_OVERLAY, INTERFACE_UPLINK, INTERFACE_XDP},
    service::{SERVICE_CATCH_ALL, SERVICE_DSR, SERVICE_LOCAL, SERVICE_SILENT, SERVICE_SOURCE_RANGES},
};

use super::{PROTOCOLS, address};
use crate::model::{Device, Endpoint, Frontend, Interface, Step};

/// Addresses of each family in the same places.
pub(super) struct Family {
    /// External addresses.
    pub(super) vips: [&'static str; 2],
    /// Addresses of the node: towards clients, towards nodes.
    pub(super) node: [&'static str; 2],
    /// Nodes: resolved, not resolved.
    pub(super) nodes: [&'static str; 2],
    /// Pods: local, and behind each kind of route.
    pub(super) pods: [&'static str; 8],
    /// Clients; the last three are on this node.
    pub(super) clients: [&'static str; 8],
    /// Sources that cannot be answered, and destinations of nobody's.
    pub(super) odd: [&'static str; 5],
}

pub(super) const FAMILIES: [Family; 2] = [
    Family {
        vips: ["203.0.113.10", "203.0.113.11"],
        node: ["192.0.2.1", "10.0.0.1"],
        nodes: ["10.0.0.2", "10.0.0.3"],
        pods: [
            "10.244.1.5",
            "10.244.1.6",
            "10.244.2.5",
            "10.244.2.6",
            "10.244.3.5",
            "10.244.4.5",
            "10.244.5.5",
            "10.244.6.5",
        ],
        clients: [
            "198.51.100.7",
            "198.51.100.8",
            "198.51.100.200",
            "192.0.2.254",
            "10.0.0.2",
            "10.244.1.5",
            "10.244.1.6",
            "10.244.1.9",
        ],
        odd: ["127.0.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255", "203.0.113.10"],
    },
    Family {
        vips: ["2001:db8:cb::10", "2001:db8:cb::11"],
        node: ["2001:db8:2::1", "fd10::1"],
        nodes: ["fd10::2", "fd10::3"],
        pods: [
            "fd10:244:1::5",
            "fd10:244:1::6",
            "fd10:244:2::5",
            "fd10:244:2::6",
            "fd10:244:3::5",
            "fd10:244:4::5",
            "fd10:244:5::5",
            "fd10:244:6::5",
        ],
        clients: [
            "2001:db8:c::7",
            "2001:db8:c::8",
            "2001:db8:d::1",
            "2001:db8:2::fe",
            "fd10::2",
            "fd10:244:1::5",
            "fd10:244:1::6",
            "fd10:244:1::9",
        ],
        odd: ["::1", "::", "ff02::1", "fe80::1", "2001:db8:cb::10"],
    },
];

/// Ports of frontends.
const PORTS: [u16; 4] = [80, 443, 30_080, 50_000];
/// Ports of pods.
const POD_PORTS: [u16; 2] = [8080, 8443];
/// How many endpoints there are of each family; indices of IPv4 are even.
const ENDPOINTS: u32 = 8;

pub(super) struct Setting {
    pub(super) frontends: Vec<Frontend>,
    endpoints: Vec<Endpoint>,
}

impl Setting {
    /// A setting and the steps that lead there.
    pub(super) fn new(random: &mut Rng) -> (Self, Vec<Step>) {
        let mut steps =
            vec![Step::Wait(if random.u8(0..4) == 0 { random.u32(..) } else { 100_000 }), Step::Epoch(1)];
        steps.extend(interfaces(random).into_iter().map(Step::Interface));
        let mut setting = Self { frontends: Vec::new(), endpoints: Vec::new() };
        for index in 1..=ENDPOINTS * 2 {
            let endpoint = endpoint(random, index, 1);
            steps.push(Step::Endpoint(endpoint.clone()));
            setting.endpoints.push(endpoint);
        }
        for id in 1..=random.u32(3..12) {
            let frontend = setting.frontend(random, id);
            steps.push(Step::Frontend(frontend.clone()));
            setting.frontends.push(frontend);
        }
        for (number, family) in FAMILIES.iter().enumerate() {
            for vip in family.vips {
                if random.u8(0..10) > 0 {
                    steps.push(Step::Frontend(catch_all(vip)));
                }
            }
            steps.push(Step::Peer(address(family.nodes[0])));
            for id in 1..12 {
                let (client, bits) = (address(family.clients[random.usize(0..3)]), random.u8(0..=32));
                if random.bool() {
                    steps.push(Step::SourceRange(id, client, bits + number as u8 * 32));
                }
            }
        }
        (setting, steps)
    }

    /// Something that the agent does to it later.
    pub(super) fn change(&mut self, random: &mut Rng) -> Step {
        match random.u8(0..10) {
            0..6 => {
                let index = random.u32(1..=ENDPOINTS * 2);
                let old = &mut self.endpoints[index as usize - 1];
                let new = match random.u8(0..4) {
                    0 => Endpoint { flags: old.flags ^ BACKEND_TERMINATING, ..old.clone() },
                    1 => Endpoint {
                        address: None,
                        node: None,
                        flags: 0,
                        generation: old.generation + 1,
                        ..old.clone()
                    },
                    _ => {
                        let generation = old.generation + u32::from(random.bool());
                        endpoint(random, index, generation)
                    }
                };
                *old = new.clone();
                Step::Endpoint(new)
            }
            6..9 => {
                let index = random.usize(..self.frontends.len());
                let old = &self.frontends[index];
                let Frontend { address, port, protocol, .. } = *old;
                let new = self.frontend(random, old.id);
                let new = if random.bool() { Frontend { address, port, protocol, ..new } } else { new };
                self.frontends[index] = new.clone();
                Step::Frontend(new)
            }
            _ => {
                let Frontend { address, port, protocol, .. } =
                    self.frontends[random.usize(..self.frontends.len())];
                Step::NoFrontend(address, port, protocol)
            }
        }
    }

    fn frontend(&self, random: &mut Rng, id: u32) -> Frontend {
        // An id is of one family, as the agent's are: its ring holds endpoints of that family.
        let number = id as usize % 2;
        let family = &FAMILIES[number];
        let addresses = [family.vips[0], family.vips[0], family.vips[1], family.node[0]];
        let of_family =
            |endpoint: &&Endpoint| endpoint.index as usize % 2 == number && endpoint.address.is_some();
        let mut ring = Vec::new();
        for endpoint in self.endpoints.iter().filter(of_family) {
            if ring.len() < 4 && random.u8(0..3) == 0 {
                ring.push(endpoint.index);
            }
        }
        if ring.is_empty() && random.u8(0..4) > 0 {
            ring.extend(self.endpoints.iter().find(of_family).map(|endpoint| endpoint.index));
        }
        let is_local = |index: &&u32| self.endpoints[**index as usize - 1].flags & BACKEND_LOCAL != 0;
        let mut flags = 0;
        for (flag, one_in) in
            [(SERVICE_SILENT, 8), (SERVICE_LOCAL, 8), (SERVICE_SOURCE_RANGES, 6), (SERVICE_DSR, 4)]
        {
            if random.u8(0..one_in) == 0 {
                flags |= flag;
            }
        }
        Frontend {
            address: address(addresses[random.usize(..4)]),
            port: PORTS[random.usize(..4)],
            protocol: PROTOCOLS[random.usize(..4)],
            id,
            flags,
            affinity: if random.u8(0..4) == 0 { random.u32(1..60) } else { 0 },
            local_ring: ring.iter().filter(is_local).copied().collect(),
            ring,
        }
    }
}

fn catch_all(vip: &str) -> Frontend {
    let (address, flags) = (address(vip), SERVICE_CATCH_ALL);
    let (ring, local_ring) = (Vec::new(), Vec::new());
    Frontend { address, port: 0, protocol: 0, id: 0, flags, affinity: 0, ring, local_ring }
}

fn endpoint(random: &mut Rng, index: u32, generation: u32) -> Endpoint {
    let family = &FAMILIES[index as usize % 2];
    // Local ones and those behind the usual route more often than the others.
    let pod = match random.usize(0..16) {
        few @ 0..8 => few,
        8..11 => 0,
        _ => 2,
    };
    let flags = if pod < 2 { BACKEND_LOCAL } else { 0 };
    let terminating = if random.u8(0..12) == 0 { BACKEND_TERMINATING } else { 0 };
    let node: Option<IpAddr> = match random.u8(0..4) {
        0 => None,
        1 => Some(address(family.nodes[1])),
        _ => Some(address(family.nodes[0])),
    };
    Endpoint {
        index,
        address: Some(address(family.pods[pod])),
        node: node.filter(|_| pod >= 2),
        port: POD_PORTS[random.usize(..2)],
        protocol: 6,
        flags: flags | terminating,
        generation,
    }
}

fn interfaces(random: &mut Rng) -> Vec<Interface> {
    let interface = |device, flags, addresses: [&str; 2]| Interface {
        device,
        flags,
        addresses: addresses.map(address).to_vec(),
        mac: [0; 6],
        tags: Vec::new(),
    };
    let mut down = interface(Device::Down, INTERFACE_XDP, ["10.0.0.1", "fd10::1"]);
    match random.u8(0..10) {
        0 => down.tags = vec![(0x8100, 7)],
        1 => down.tags = vec![(0x88a8, 9), (0x8100, 7)],
        2 => down.flags = INTERFACE_UPLINK,
        _ => {}
    }
    let up = interface(Device::Up, INTERFACE_XDP | INTERFACE_UPLINK, ["192.0.2.1", "2001:db8:2::1"]);
    let mut loopback = interface(Device::Loopback, 0, ["127.0.0.1", "::1"]);
    if random.u8(0..10) == 0 {
        loopback.mac = [2, 0, 0, 0, 0, 9];
    }
    vec![down, up, interface(Device::Overlay, INTERFACE_OVERLAY, ["10.244.1.0", "fd10:244:ff::1"]), loopback]
}
