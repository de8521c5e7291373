//! The whole way through a node, in namespaces, one core: Sluice beside nftables rules of the shape that kube-proxy
//! writes, in one run.
//!
//! ```text
//! client c0 ── up0 node down0 ── sink s0      frames are made at c0 and counted and dropped at s0, in the kernel
//! ```
//!
//! Everything runs in the softirq of the CPU that the sender is pinned to, so the time between start and end is CPU
//! time of the whole way. The first rows are the cost of making and dropping the frames: subtract them.

use std::{
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use aya::{
    Ebpf, EbpfLoader, TestRun, TestRunAttrs, TestRunOptions,
    maps::{Array, PerCpuArray},
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
const ROUNDS: usize = 5;
/// Frames of a round.
const FRAMES: u32 = 400_000;
/// Frames that `test_run` hands out at once; more would not fit the receiving ring of a veth (256).
const BATCH: u32 = 64;

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
    let _forwarding = network.install(forwarder)?;
    let mut sink = network.sink.enter(|| network.open_sink(forwarder))?;
    network.client.enter(|| network.drive(forwarder, flows, &mut sink))
}

struct Network {
    client: Namespace,
    node: Namespace,
    sink: Namespace,
}

/// What must stay loaded while frames run; dropping it detaches.
type Installed = Option<Box<dyn Send>>;

impl Network {
    fn new(forwarder: Forwarder) -> Result<Self> {
        let name = unique_name();
        let client = Namespace::create(&format!("{name}-c"))?;
        let node = Namespace::create(&format!("{name}-n"))?;
        let sink = Namespace::create(&format!("{name}-s"))?;
        client.ip(&format!(
            "link add c0 address 02:00:00:00:00:01 type veth peer name up0 address 02:00:00:00:00:02 netns {}\n\
             link set c0 up\nlink set lo up",
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
                Ok(Some(Box::new(door) as _))
            }),
            Forwarder::TcDrop => self.node.enter(|| {
                let (mut door, mut drop) = (pass()?, traffic(1, 0, 1)?);
                attach_tcx(&mut drop, "traffic_count_skb", "up0")?;
                attach_xdp(&mut door, program::PASS, "up0")?;
                Ok(Some(Box::new((door, drop)) as _))
            }),
            Forwarder::Routing => self.node.enter(|| {
                let mut door = pass()?;
                attach_xdp(&mut door, program::PASS, "up0")?;
                Ok(Some(Box::new(door) as _))
            }),
            Forwarder::Nftables(services) => {
                self.node.run_with_input("nft", &["-f", "-"], &ruleset(services))?;
                self.install(Forwarder::Routing)
            }
            Forwarder::Sluice(services) => self.node.enter(|| Ok(Some(Box::new(sluice(services)?) as _))),
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

    /// Sends a round's frames, pinned to the last CPU; nanoseconds a frame.
    fn drive(&self, forwarder: Forwarder, flows: Flows, sink: &mut Ebpf) -> Result<f64> {
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
        if let Flows::Established(flows) = flows {
            send(program, flows.next_multiple_of(BATCH))?;
        }
        let before = counted(sink)?;
        let frames = FRAMES.next_multiple_of(BATCH);
        let took = send(program, frames)?;
        let arrived = counted(sink)? - before;
        let dropped_at_door = matches!(forwarder, Forwarder::XdpDrop | Forwarder::TcDrop);
        ensure!(
            dropped_at_door || arrived * 100 >= u64::from(frames) * 90,
            "only {arrived} of {frames} frames arrived: the receiving ring overflowed; run this part again"
        );
        let finished = if dropped_at_door { u64::from(frames) } else { arrived };
        Ok(took.as_nanos() as f64 / finished as f64)
    }
}

/// Sends frames in the kernel and waits until the last was handed on.
fn send(program: &Xdp, frames: u32) -> Result<Duration> {
    let data = [0; 64];
    let start = Instant::now();
    program.test_run(TestRunOptions {
        data_in: Some(&data),
        repeat: frames,
        attrs: TestRunAttrs::new().xdp_live_frames(BATCH),
        ..TestRunOptions::default()
    })?;
    Ok(start.elapsed())
}

fn counted(sink: &mut Ebpf) -> Result<u64> {
    let counts: PerCpuArray<_, u64> = PerCpuArray::try_from(sink.map_mut("count").context("count")?)?;
    Ok(counts.get(&1, 0)?.iter().sum())
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

/// Rules of the shape that kube-proxy's nftables mode writes (`pkg/proxy/nftables/proxier.go`): one verdict map from
/// frontend to the service's chain, a random choice among endpoint chains, DNAT, and masquerading by mark.
fn ruleset(services: u32) -> String {
    let mut rules = String::from("table ip kube-proxy {\n");
    let mut elements = Vec::new();
    for service in 0..services {
        let endpoints = if service == 0 { ENDPOINTS } else { 1 };
        let choice: Vec<String> =
            (0..endpoints).map(|number| format!("{number} : goto endpoint-{service}-{number}")).collect();
        for number in 0..endpoints {
            rules += &format!(
                "chain endpoint-{service}-{number} {{ meta l4proto udp dnat to {}:{POD_PORT}; }}\n",
                pod(number + 1)
            );
        }
        rules += &format!(
            "chain service-{service} {{ numgen random mod {endpoints} vmap {{ {} }}; }}\n",
            choice.join(", ")
        );
        rules +=
            &format!("chain external-{service} {{ jump mark-for-masquerade; goto service-{service}; }}\n");
        elements.push(format!("{} . udp . {PORT} : goto external-{service}", vip(service)));
    }
    rules += &format!(
        "map service-ips {{ type ipv4_addr . inet_proto . inet_service : verdict; elements = {{ {} }}; }}\n\
         chain mark-for-masquerade {{ meta mark set mark or 0x4000; }}\n\
         chain services {{ ip daddr . meta l4proto . th dport vmap @service-ips; }}\n\
         chain nat-prerouting {{ type nat hook prerouting priority dstnat; jump services; }}\n\
         chain nat-output {{ type nat hook output priority -100; jump services; }}\n\
         chain masquerading {{ meta mark & 0x4000 == 0 return; meta mark set mark xor 0x4000; masquerade fully-random; }}\n\
         chain nat-postrouting {{ type nat hook postrouting priority srcnat; jump masquerading; }}\n}}\n",
        elements.join(", ")
    );
    // Chains are used before they are declared in the text above; nft takes a file as one transaction.
    rules.replacen("table ip kube-proxy {", "table ip kube-proxy {\nchain mark-for-masquerade { }", 1)
}
