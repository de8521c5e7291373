//! A node of both families for tests of one feature each: addresses as in `lb_tests::lab`, time as the test says.

use std::{
    net::IpAddr,
    sync::{LazyLock, Mutex, MutexGuard, PoisonError},
};

use lb_common::{
    backend::BACKEND_LOCAL,
    drop_reason::DropReason,
    host::Outcome,
    interface::{INTERFACE_OVERLAY, INTERFACE_UPLINK, INTERFACE_XDP},
    service::SERVICE_CATCH_ALL,
    stat::Stat,
    tcp::{SCTP, TCP, flag},
    time::Tick,
};
use lb_tests::{
    lab::{NODE, NODE_V6, OVERLAY_ADDRESS, OVERLAY_V6, UPLINK, UPLINK_V6},
    model::{
        Device, Endpoint, Frontend, Hook, Interface, Kernel, Packet, Step,
        frame::{self, Ip, ethernet},
    },
};

/// Address and port.
pub(crate) type Side = (IpAddr, u16);

/// Addresses of a family.
pub(crate) struct Family {
    pub(crate) client: IpAddr,
    pub(crate) vip: IpAddr,
    /// Towards other nodes.
    pub(crate) node: IpAddr,
    pub(crate) node_b: IpAddr,
    pub(crate) local_pod: IpAddr,
    pub(crate) remote_pod: IpAddr,
    /// Behind a path of 1300 bytes.
    pub(crate) narrow_pod: IpAddr,
}

pub(crate) fn families() -> [Family; 2] {
    let family = |addresses: [&str; 7]| {
        let [client, vip, node, node_b, local_pod, remote_pod, narrow_pod] =
            addresses.map(|address| address.parse().unwrap());
        Family { client, vip, node, node_b, local_pod, remote_pod, narrow_pod }
    };
    [
        family([
            "198.51.100.7",
            "203.0.113.10",
            "10.0.0.1",
            "10.0.0.2",
            "10.244.1.5",
            "10.244.2.5",
            "10.244.5.5",
        ]),
        family([
            "2001:db8:c::7",
            "2001:db8:cb::10",
            "fd10::1",
            "fd10::2",
            "fd10:244:1::5",
            "fd10:244:2::5",
            "fd10:244:5::5",
        ]),
    ]
}

/// Port of every frontend, of every pod, and of the client.
pub(crate) const PORT: u16 = 80;
pub(crate) const POD_PORT: u16 = 8080;
pub(crate) const CLIENT_PORT: u16 = 40_000;

impl Family {
    pub(crate) fn from(&self) -> Side {
        (self.client, CLIENT_PORT)
    }

    pub(crate) fn to(&self) -> Side {
        (self.vip, PORT)
    }
}

/// A node, alone with the programs: loading them takes seconds, so that all tests share them.
pub(crate) struct Node {
    kernel: MutexGuard<'static, Kernel>,
}

static KERNEL: LazyLock<Mutex<Kernel>> = LazyLock::new(|| Mutex::new(Kernel::new().unwrap()));

impl Node {
    /// Devices, VIPs, and no Service.
    pub(crate) fn new() -> Self {
        // A test that failed leaves nothing behind that a reset does not take away.
        let mut kernel = KERNEL.lock().unwrap_or_else(PoisonError::into_inner);
        kernel.enter().unwrap();
        kernel.reset().unwrap();
        let mut node = Self { kernel };
        node.step(Step::Wait(100_000));
        node.step(Step::Epoch(1));
        for (device, flags) in [
            (Device::Up, INTERFACE_XDP | INTERFACE_UPLINK),
            (Device::Down, INTERFACE_XDP),
            (Device::Overlay, INTERFACE_OVERLAY),
        ] {
            node.interface(device, flags, &[]);
        }
        for family in families() {
            node.frontend(Frontend { flags: SERVICE_CATCH_ALL, port: 0, ..frontend(family.vip, 0, &[]) });
        }
        node
    }

    pub(crate) fn step(&mut self, step: Step) {
        assert_eq!(self.kernel.take(&step).unwrap(), None);
    }

    pub(crate) fn wait(&mut self, ticks: Tick) {
        self.step(Step::Wait(ticks));
    }

    pub(crate) fn interface(&mut self, device: Device, flags: u32, tags: &[(u16, u16)]) {
        let addresses: [IpAddr; 2] = match device {
            Device::Down => [NODE.into(), NODE_V6.into()],
            Device::Overlay => [OVERLAY_ADDRESS.into(), OVERLAY_V6.into()],
            _ => [UPLINK.into(), UPLINK_V6.into()],
        };
        let (addresses, mac, tags) = (addresses.into(), [0; 6], tags.to_vec());
        self.step(Step::Interface(Interface { device, flags, addresses, mac, tags }));
    }

    pub(crate) fn frontend(&mut self, frontend: Frontend) {
        self.step(Step::Frontend(frontend));
    }

    /// Writes an endpoint; on this node where the address is a local pod's.
    pub(crate) fn endpoint(&mut self, index: u32, address: IpAddr, node: Option<IpAddr>) {
        let local = families().iter().any(|family| family.local_pod == address);
        let flags = if local { BACKEND_LOCAL } else { 0 };
        let (port, protocol, generation) = (POD_PORT, TCP, 1);
        self.step(Step::Endpoint(Endpoint {
            index,
            address: Some(address),
            node,
            port,
            protocol,
            flags,
            generation,
        }));
    }

    /// A VIP that leads to one endpoint.
    pub(crate) fn serve(&mut self, vip: IpAddr, protocol: u8, pod: IpAddr) {
        self.endpoint(1, pod, None);
        self.frontend(frontend(vip, protocol, &[1]));
    }

    pub(crate) fn send(&mut self, hook: Hook, frame: Vec<u8>) -> Outcome {
        let packet = Packet { hook, by: Device::Loopback, frame };
        self.kernel.take(&Step::Packet(packet)).unwrap().unwrap()
    }

    pub(crate) fn xdp(&mut self, packet: &[u8]) -> Outcome {
        self.send(Hook::Xdp, ethernet([0; 6], &[], packet))
    }

    pub(crate) fn drops(&mut self, reason: DropReason) -> u64 {
        self.kernel.programs().drops(reason).unwrap()
    }

    /// Flows that were opened to service 1.
    pub(crate) fn new_flows(&mut self) -> u64 {
        self.kernel.programs().service_stats(1).unwrap().new_flows
    }

    pub(crate) fn events(&mut self, stat: Stat) -> u64 {
        self.kernel.programs().events(stat).unwrap()
    }
}

/// Port 80 of an address, service 1.
pub(crate) fn frontend(address: IpAddr, protocol: u8, ring: &[u32]) -> Frontend {
    let (ring, local_ring) = (ring.to_vec(), ring.to_vec());
    Frontend { address, port: PORT, protocol, id: 1, flags: 0, affinity: 0, ring, local_ring }
}

/// What follows the IP header of a packet between two sides: a SYN, an INIT or a datagram; the reply to one.
pub(crate) fn segment(protocol: u8, from: Side, to: Side, reply: bool) -> Vec<u8> {
    let (ip, ports, payload) = (Ip::new(from.0, to.0), (from.1, to.1), b"odd length");
    match protocol {
        TCP => frame::tcp(&ip, ports, if reply { flag::SYN | flag::ACK } else { flag::SYN }, 7, payload),
        SCTP => frame::sctp(ports, if reply { 2 } else { 1 }, 0, payload),
        _ => frame::udp(&ip, ports, true, payload),
    }
}

/// The packet of a [`segment`].
pub(crate) fn packet(protocol: u8, from: Side, to: Side, reply: bool) -> Vec<u8> {
    Ip::new(from.0, to.0).packet(protocol, &segment(protocol, from, to, reply))
}
