//! The whole way through a node, in namespaces, one core: Sluice beside nftables rules of the shape that kube-proxy
//! writes, in one run.
//!
//! ```text
//! client c0 ── up0 node down0 ── sink s0      frames are made at c0 and counted and dropped at s0, in the kernel
//! ```
//!
//! Everything runs in the softirq of the CPU that the sender is pinned to, so the time between start and end is CPU
//! time of the whole way. Frames are sent a few at a time, the next when the last have arrived: the sender shares the CPU
//! with ksoftirqd, and a call of `test_run` for all of them would leave it no time to empty the ring. The first rows are
//! the cost of making and dropping the frames in the same way: subtract them.

mod rules;
mod send;

use std::{net::Ipv4Addr, time::Instant};

use anyhow::{Context, Result};
use aya::{
    Ebpf, EbpfLoader,
    maps::Array,
    programs::{SchedClassifier, TcAttachType, Xdp, xdp::XdpMode},
};
use lb_common::{
    abi::program,
    interface::{INTERFACE_XDP, Interface},
    service::SERVICE_EXTERNAL_IP,
    tcp::UDP,
};
use nix::{
    net::if_::if_nametoindex,
    sched::{CpuSet, sched_setaffinity},
    unistd::Pid,
};

use self::{rules::ruleset, send::send};
use super::report::{Row, Spread};
use crate::{
    lab::{be, endpoint, frontend},
    netns::{Namespace, unique_name},
    packet::{Macs, udp},
    prog::{Programs, Sizes},
};

const VIP: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 10);
const PORT: u16 = 53;
const POD_PORT: u16 = 5353;
const ENDPOINTS: u32 = 64;
/// A device that no packet passes.
const SPARE: &str = "spare0";
const ROUNDS: usize = 5;
/// Frames of a round.
const FRAMES: u32 = 400_000;

/// What stands between client and sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Forwarder {
    /// An XDP program at the node's door drops: what making and receiving frames costs.
    XdpDrop,
    /// A tc program at the node's door drops: the same for skbs.
    TcDrop,
    /// The stack routes, without netfilter and without NAT.
    Routing,
    /// nftables with so many services.
    Nftables(u32),
    /// Sluice with so many services.
    Sluice(u32),
}

/// Flows that the frames of a round belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flows {
    /// So many, over and over, opened before the clock starts.
    Established(u32),
    /// Every frame the first of its flow.
    New,
}

/// Measures every forwarder, in interleaved rounds.
///
/// # Errors
/// Where the kernel refuses, or too few frames arrive.
pub fn measure() -> Result<Vec<Row>> {
    let cases = [
        (Forwarder::XdpDrop, Flows::Established(1000)),
        (Forwarder::TcDrop, Flows::Established(1000)),
        (Forwarder::Routing, Flows::Established(1000)),
        (Forwarder::Sluice(1), Flows::Established(1000)),
        (Forwarder::Nftables(1), Flows::Established(1000)),
        (Forwarder::Sluice(1), Flows::Established(100_000)),
        (Forwarder::Nftables(1), Flows::Established(100_000)),
        (Forwarder::Sluice(1), Flows::New),
        (Forwarder::Nftables(1), Flows::New),
        (Forwarder::Sluice(10_000), Flows::New),
        (Forwarder::Nftables(10_000), Flows::New),
    ];
    let mut rounds = vec![Vec::new(); cases.len()];
    for _ in 0..ROUNDS {
        for ((forwarder, flows), nanos) in cases.into_iter().zip(&mut rounds) {
            nanos.push(run(forwarder, flows).with_context(|| format!("{forwarder:?}, {flows:?}"))?);
        }
    }
    let spreads: Vec<Spread> = rounds.into_iter().map(Spread::of).collect();
    let floor = spreads[0].median;
    Ok(cases
        .into_iter()
        .zip(spreads)
        .map(|((forwarder, flows), nanos)| row(forwarder, flows, nanos, floor))
        .collect())
}

fn row(forwarder: Forwarder, flows: Flows, nanos: Spread, floor: f64) -> Row {
    let (name, services) = match forwarder {
        Forwarder::XdpDrop => ("frames made and dropped by XDP (the floor)", 0),
        Forwarder::TcDrop => ("frames made and dropped by tc", 0),
        Forwarder::Routing => ("plain routing, no netfilter, no NAT", 0),
        Forwarder::Nftables(services) => ("nftables as kube-proxy writes it", services),
        Forwarder::Sluice(services) => ("Sluice", services),
    };
    let (case, flows) = match flows {
        Flows::Established(flows) => (name.to_owned(), flows),
        Flows::New => (format!("{name}, every frame a new flow"), FRAMES),
    };
    Row { case, services, flows, nanos, floor, net: nanos.median - floor }
}

/// One round in a network of its own: nanoseconds a frame.
fn run(forwarder: Forwarder, flows: Flows) -> Result<f64> {
    let network = Network::new(forwarder)?;
    let Installed { held: _held, door } = network.install(forwarder)?;
    let mut end = match door {
        Some(door) => door,
        None => network.sink.enter(|| network.open_sink(forwarder))?,
    };
    network.client.enter(|| network.drive(flows, &mut end))
}

struct Network {
    client: Namespace,
    node: Namespace,
    sink: Namespace,
}

/// What stands between client and sink; dropping it detaches.
struct Installed {
    /// What must stay loaded while frames run.
    held: Option<Box<dyn Send>>,
    /// What counts and drops every frame already at the node's door.
    door: Option<Ebpf>,
}

impl Installed {
    fn forwarding(held: impl Send + 'static) -> Self {
        Self { held: Some(Box::new(held)), door: None }
    }
}

impl Network {
    fn new(forwarder: Forwarder) -> Result<Self> {
        let name = unique_name();
        let client = Namespace::create(&format!("{name}-c"))?;
        let node = Namespace::create(&format!("{name}-n"))?;
        let sink = Namespace::create(&format!("{name}-s"))?;
        for namespace in [&client, &node, &sink] {
            // Their hosts would send frames of their own, which count.
            namespace.sysctl("ipv6/conf/default/disable_ipv6", "1")?;
        }
        client.ip(&format!(
            "link add c0 address 02:00:00:00:00:01 type veth peer name up0 address 02:00:00:00:00:02 netns {}\n\
             link set c0 up\nlink set lo up\n\
             link add {SPARE} type veth peer name unused\nlink set {SPARE} up",
            node.name()
        ))?;
        node.ip(&format!(
            "link add down0 address 02:00:00:00:01:01 type veth peer name s0 address 02:00:00:00:01:02 netns {}\n\
             link set up0 up\nlink set down0 up\nlink set lo up\n\
             address add 192.0.2.1/24 dev up0\naddress add 10.0.0.1/24 dev down0\n\
             route add default via 192.0.2.254\nroute add 10.244.0.0/16 via 10.0.0.2\n\
             neighbour add 192.0.2.254 lladdr 02:00:00:00:00:01 nud permanent dev up0\n\
             neighbour add 10.0.0.2 lladdr 02:00:00:00:01:02 nud permanent dev down0",
            sink.name()
        ))?;
        sink.ip("link set s0 up\nlink set lo up")?;
        node.sysctl("ipv4/ip_forward", "1")?;
        for setting in ["all", "up0", "down0"] {
            node.sysctl(&format!("ipv4/conf/{setting}/rp_filter"), "0")?;
        }
        if forwarder == Forwarder::Routing {
            node.ip(&format!("route add {VIP} via 10.0.0.2"))?;
        }
        Ok(Self { client, node, sink })
    }

    fn install(&self, forwarder: Forwarder) -> Result<Installed> {
        match forwarder {
            Forwarder::XdpDrop => self.node.enter(|| {
                let mut door = traffic(1, 0, 1)?;
                attach_xdp(&mut door, "traffic_count", "up0")?;
                Ok(Installed { held: None, door: Some(door) })
            }),
            Forwarder::TcDrop => self.node.enter(|| {
                let (mut door, mut drop) = (pass()?, traffic(1, 0, 1)?);
                attach_tcx(&mut drop, "traffic_count_skb", "up0")?;
                attach_xdp(&mut door, program::PASS, "up0")?;
                Ok(Installed { held: Some(Box::new(door)), door: Some(drop) })
            }),
            Forwarder::Routing => self.node.enter(|| {
                let mut door = pass()?;
                attach_xdp(&mut door, program::PASS, "up0")?;
                Ok(Installed::forwarding(door))
            }),
            Forwarder::Nftables(services) => {
                for transaction in ruleset(services) {
                    self.node.run_with_input("nft", &["-f", "-"], &transaction)?;
                }
                self.install(Forwarder::Routing)
            }
            Forwarder::Sluice(services) => self.node.enter(|| Ok(Installed::forwarding(sluice(services)?))),
        }
    }

    fn open_sink(&self, forwarder: Forwarder) -> Result<Ebpf> {
        let mut sink = traffic(1, 0, 1)?;
        if matches!(forwarder, Forwarder::Sluice(_)) {
            attach_xdp(&mut sink, "traffic_count", "s0")?;
        } else {
            attach_tcx(&mut sink, "traffic_count_skb", "s0")?;
        }
        Ok(sink)
    }

    /// Sends a round's frames to where `end` counts them, pinned to the last CPU; nanoseconds a frame.
    fn drive(&self, flows: Flows, end: &mut Ebpf) -> Result<f64> {
        pin_to_last_cpu()?;
        let list = match flows {
            Flows::Established(flows) => flows,
            Flows::New => FRAMES,
        };
        let mut sender = traffic(list, if_nametoindex("c0")?, FRAMES)?;
        let mut frames: Array<_, [u64; 8]> = Array::try_from(sender.map_mut("frames").context("frames")?)?;
        for number in 0..list {
            frames.set(number, frame(number)?, 0)?;
        }
        let program: &mut Xdp = sender.program_mut("traffic_send").context("traffic_send")?.try_into()?;
        program.load()?;
        // A call of `test_run` for a program that no device has waits for two grace periods of RCU
        // (`bpf_dispatcher_change_prog` in kernel/bpf/dispatcher.c).
        program.attach(SPARE, XdpMode::Driver)?;
        if let Flows::Established(flows) = flows {
            send(program, flows, end)?;
        }
        let start = Instant::now();
        let sent = send(program, FRAMES, end)?;
        Ok(start.elapsed().as_nanos() as f64 / sent as f64)
    }
}

/// Frame `number` of the list: the first packet of flow `number`, 64 bytes.
fn frame(number: u32) -> Result<[u64; 8]> {
    let address = Ipv4Addr::from(u32::from(Ipv4Addr::new(198, 18, 0, 0)) + number / 60_000);
    let mut packet = udp((address, 1024 + (number % 60_000) as u16), (VIP, PORT));
    packet.macs = Macs { src: [2, 0, 0, 0, 0, 1], dst: [2, 0, 0, 0, 0, 2] };
    packet.payload = vec![0; 22];
    let bytes = packet.build();
    let mut words = [0; 8];
    for (word, bytes) in words.iter_mut().zip(bytes.chunks_exact(8)) {
        *word = u64::from_ne_bytes(bytes.try_into()?);
    }
    Ok(words)
}

fn pin_to_last_cpu() -> Result<()> {
    let mut cpus = CpuSet::new();
    cpus.set(std::thread::available_parallelism()?.get() - 1)?;
    Ok(sched_setaffinity(Pid::from_raw(0), &cpus)?)
}

/// The traffic programs, with a list of `list` frames to be sent through `out`.
fn traffic(list: u32, out: u32, frames: u32) -> Result<Ebpf> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/bpf/traffic.o");
    let object = std::fs::read(path).with_context(|| format!("{path}: run cargo xtask build first"))?;
    Ok(EbpfLoader::new()
        .map_max_entries("frames", list.max(frames))
        .override_global("LIST", &list, true)
        .override_global("OUT", &out, true)
        .load(&object)?)
}

fn attach_xdp(ebpf: &mut Ebpf, program: &str, device: &str) -> Result<()> {
    let program: &mut Xdp = ebpf.program_mut(program).context("no such program")?.try_into()?;
    if program.fd().is_err() {
        program.load()?;
    }
    program.attach(device, XdpMode::Driver)?;
    Ok(())
}

fn attach_tcx(ebpf: &mut Ebpf, program: &str, device: &str) -> Result<()> {
    let program: &mut SchedClassifier = ebpf.program_mut(program).context("no such program")?.try_into()?;
    program.load()?;
    program.attach(device, TcAttachType::Ingress)?;
    Ok(())
}

/// An XDP program that passes: veth hands redirected frames only to a device that has one.
fn pass() -> Result<Ebpf> {
    Ok(Programs::load(Sizes::default())?.ebpf)
}

fn pod(number: u32) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 244, 2, 0)) + number)
}

/// Address of the frontend of service `number`; the first is the one that frames are sent to.
fn vip(number: u32) -> Ipv4Addr {
    if number == 0 { VIP } else { Ipv4Addr::from(u32::from(Ipv4Addr::new(203, 0, 120, 0)) + number) }
}

fn sluice(services: u32) -> Result<Programs> {
    let sizes =
        Sizes { flows: 1 << 20, restore: 1 << 19, services: 65_536, backends: 65_536, chunks: 1 << 19 };
    let mut programs = Programs::load(sizes)?;
    let backends: Vec<u32> = (1..=ENDPOINTS).collect();
    for number in &backends {
        programs.set_backend(*number, endpoint(pod(*number), POD_PORT, UDP))?;
    }
    for number in 0..services {
        let ring = if number == 0 { backends.as_slice() } else { &backends[..1] };
        programs.set_service(frontend(vip(number), PORT, UDP), number, SERVICE_EXTERNAL_IP, ring)?;
    }
    for (device, address) in [("up0", [192, 0, 2, 1]), ("down0", [10, 0, 0, 1])] {
        let interface =
            Interface { address_be: be(address.into()), flags: INTERFACE_XDP, ..Interface::default() };
        programs.set_interface(if_nametoindex(device)?, interface)?;
        attach_xdp(&mut programs.ebpf, program::XDP, device)?;
    }
    Ok(programs)
}
