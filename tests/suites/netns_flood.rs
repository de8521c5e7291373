//! Floods from forged addresses, while connections and conversations go on.
#![allow(clippy::unwrap_used, reason = "a failed assumption is a failed test")]

use std::time::{Duration, Instant};

use lb_common::{abi::program, drop_reason::DropReason};
use lb_model::object::Protocol;
use lb_tests::{
    cluster::{Cluster, near_and_far, near_and_far_vips},
    eviction::Evictor,
    flood::{NewFlows, RawSocket},
    load::{Kind, Load},
    model::frame::ethernet,
    observe::mac,
    prog::run,
    skip,
    topo::{Routing, Topology},
    traffic::{Session, Target},
};
use lb_userspace::dataplane::{
    loader::{self, Settings},
    pinned::Pinned,
    spec::Sizes,
};
use nix::net::if_::if_nametoindex;

/// New flows of the flood that only the first node's program sees: sixteen times what its flow tables hold.
const FLOOD: u64 = 1_000_000;
/// New flows of the flood that crosses the network, where pods answer and routers report errors.
const ANSWERED: u64 = 100_000;
/// Packets of the flood of which none is sound.
const HOSTILE: u32 = 100_000;
/// Packets to one frontend before the next one's turn.
const BATCH: usize = 100;
/// Sessions with each frontend that say nothing during the flood.
const IDLE: usize = 20;
/// Far longer than a flood takes.
const PATIENCE: Duration = Duration::from_secs(120);

fn start(arguments: &[&str]) -> Cluster {
    let topology = Topology::new(Routing::Native, 1).unwrap();
    Cluster::start_on(topology, arguments, near_and_far).unwrap()
}

/// Frontends of both families and protocols, to pods on this and on the other node.
fn targets() -> Vec<Target> {
    near_and_far_vips().flat_map(|(vip, _)| [Target::tcp(vip, 80), Target::udp(vip, 80)]).collect()
}

/// What a flood may not harm: sessions of every frontend that are silent meanwhile, and load that is not.
struct Living {
    idle: Vec<(Target, Session)>,
    active: Vec<Load>,
}

impl Living {
    fn start(cluster: &Cluster) -> Self {
        let client = &cluster.topology.client;
        let mut idle = Vec::new();
        for target in targets() {
            for _ in 0..IDLE {
                let mut session = Session::open(client, target).unwrap();
                // A datagram's sender is believed once it goes on after an answer.
                session.ask().unwrap();
                session.ask().unwrap();
                idle.push((target, session));
            }
        }
        let kinds = [(Kind::Exchange, 2), (Kind::Download, 1), (Kind::Upload, 1)];
        let tcp = targets().into_iter().filter(|target| target.protocol == Protocol::Tcp);
        let active = tcp.map(|target| Load::start(client, target, &kinds).unwrap()).collect();
        Self { idle, active }
    }

    fn check(self) {
        for load in &self.active {
            load.advance(2).unwrap();
        }
        for (target, mut session) in self.idle {
            session.ask().unwrap_or_else(|error| panic!("a silent session with {target:?}: {error}"));
        }
        self.active.into_iter().for_each(|load| load.finish().unwrap());
    }
}

/// Packets that the first node took for new flows, opened or refused.
fn seen(maps: &Pinned) -> u64 {
    let services = maps.services().unwrap();
    let opened: u64 =
        services.values().map(|service| maps.service_stats(service.id).unwrap().new_flows).sum();
    opened + refused(maps)
}

fn refused(maps: &Pinned) -> u64 {
    let drops = maps.drops().unwrap();
    drops.into_iter().find(|(reason, _)| *reason == DropReason::NewFlowLimit).map_or(0, |(_, count)| count)
}

/// Floods every frontend in turn by way of the network, until the first node has seen so many new flows; how long that
/// took.
fn flood_from_client(cluster: &Cluster, count: u64) -> Duration {
    let maps = cluster.agents[0].maps().unwrap();
    let (start, goal) = (Instant::now(), seen(&maps) + count);
    let open = |target: Target| RawSocket::open(&cluster.topology.client, target.address.ip()).unwrap();
    let mut floods: Vec<_> =
        targets().into_iter().map(|target| (open(target), NewFlows::towards(target))).collect();
    while seen(&maps) < goal {
        assert!(start.elapsed() < PATIENCE, "{} of {goal} new flows came through", seen(&maps));
        for (socket, flows) in &mut floods {
            (0..BATCH).for_each(|_| socket.send(flows.packet()).unwrap());
        }
    }
    start.elapsed()
}

/// Hands so many packets for its own pod straight to a program like that on the first node's uplink, over the same maps,
/// as fast as it takes them; how long that took.
fn flood_program(cluster: &Cluster, count: u64) -> Duration {
    let node = &cluster.topology.node_a().namespace;
    let mac = mac(node, "eth0").unwrap();
    let pins = cluster.agents[0].pins();
    let settings = Settings { sizes: Sizes::of_pinned(&pins).unwrap(), ..Settings::default() };
    node.enter(|| {
        let mut ebpf = loader::load(&pins, &settings).unwrap();
        let xdp = loader::xdp(&mut ebpf, program::XDP).unwrap();
        let uplink = if_nametoindex("eth0").unwrap();
        let near = targets().into_iter().take(4);
        let (mut floods, start) = (near.map(NewFlows::towards).collect::<Vec<_>>(), Instant::now());
        for number in 0..count as usize {
            let flows = number % floods.len();
            run(xdp, &ethernet(mac, &[], floods[flows].packet()), Some(uplink)).unwrap();
        }
        start.elapsed()
    })
}

/// Sends packets that began as sound ones towards every frontend and have some random bytes changed since, behind the
/// lengths and the destination: fragments of all kinds, headers that lie, flags and types that nobody uses.
fn send_hostile(cluster: &Cluster, count: u32) {
    let mut random = fastrand::Rng::with_seed(7);
    let open = |target: Target| RawSocket::open(&cluster.topology.client, target.address.ip()).unwrap();
    let mut floods: Vec<_> =
        targets().into_iter().map(|target| (open(target), NewFlows::towards(target))).collect();
    for _ in 0..count {
        let number = random.usize(..floods.len());
        let (socket, flows) = &mut floods[number];
        let mut packet = flows.packet().to_vec();
        // What the socket and the routers on the way look at stays: versions, lengths, addresses.
        let (fields, transport) =
            if packet[0] >> 4 == 4 { (vec![1, 4, 5, 6, 7, 8, 9], 20) } else { (vec![6, 7], 40) };
        for _ in 0..random.usize(1..6) {
            let at = if random.bool() {
                random.usize(transport..packet.len())
            } else {
                fields[random.usize(..fields.len())]
            };
            packet[at] = random.u8(..);
        }
        packet.truncate(random.usize(transport + 1..=packet.len()));
        if packet[0] >> 4 == 6 {
            let payload = (packet.len() - 40) as u16;
            packet[4..6].copy_from_slice(&payload.to_be_bytes());
        }
        socket.send(&packet).unwrap();
    }
}

/// Halves of the sessions' flows that the first node's table holds.
fn halves_of_clients(maps: &Pinned) -> usize {
    let forged = |first: [u8; 2]| first == [100, 64 | first[1] & 0x3f];
    let v4 = maps.flows().filter(|entry| {
        let (key, flow) = entry.as_ref().unwrap();
        ![key.src_be, flow.dst_be]
            .iter()
            .any(|address| forged([address.to_ne_bytes()[0], address.to_ne_bytes()[1]]))
    });
    v4.count()
}

#[test]
fn a_million_new_flows_cost_those_that_exist_nothing() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    let cluster = start(&["--new-flows-per-second", "0"]);
    let living = Living::start(&cluster);
    let maps = cluster.agents[0].maps().unwrap();
    let (halves, flows) = (halves_of_clients(&maps), seen(&maps));
    let took = flood_program(&cluster, FLOOD);
    let (kept, flows) = (halves_of_clients(&maps), seen(&maps) - flows);
    println!(
        "{flows} new flows in {took:.1?}; of {halves} halves of the living (IPv4) the table kept {kept}"
    );
    assert_eq!(refused(&maps), 0);
    // Which halves it gives up is the LRU's choice: those used since it last looked stay, in one run all, in the next none.
    let table = u64::from(Sizes::of_pinned(&cluster.agents[0].pins()).unwrap().flows);
    assert!(flows >= FLOOD && FLOOD >= 10 * table, "{flows} new flows in a table of {table}");
    // So every second half that is left is taken by hand: what brings it back must have come through the flood.
    Evictor::open(&cluster.agents[0].pins()).unwrap().evict().unwrap();
    living.check();
}

#[test]
fn a_flood_gets_the_share_of_the_processor_that_it_is_given_and_no_more() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    const PER_SECOND: u64 = 5_000;
    let cluster = start(&["--new-flows-per-second", &PER_SECOND.to_string()]);
    let living = Living::start(&cluster);
    let maps = cluster.agents[0].maps().unwrap();
    let took = flood_from_client(&cluster, ANSWERED);
    let refused = refused(&maps);
    let cpus = std::thread::available_parallelism().unwrap().get() as u64;
    // Each CPU has a second's worth to begin with, and a tick's tokens are rounded up.
    let most = (took.as_secs() + 2) * (PER_SECOND + 60) * cpus;
    println!("{ANSWERED} new flows in {took:.1?}: {refused} refused");
    assert!(refused > 0 && refused + most >= ANSWERED, "{refused} refused in {took:?}");
    living.check();
}

#[test]
fn hostile_packets_at_full_speed_touch_nothing_that_exists() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    let cluster = start(&[]);
    let living = Living::start(&cluster);
    send_hostile(&cluster, HOSTILE);
    living.check();
}
