//! node-a behind a virtio network card: native XDP in its driver, out by the same card and to pods of the node.

use lb_tests::{
    cluster::{Cluster, web},
    load::{Kind, Load},
    skip,
    topo::{EXTERNAL_IP, Layout, Routing, Topology},
    traffic::{IpFamily, Session, Target, echo_that_fits, requests},
};

/// Enough for every one of four pods to be chosen, but for one run in 10^5.
const REQUESTS: u32 = 50;

fn cluster(routing: Routing) -> Cluster {
    let layout = Layout { routing, pods: 2, cards: true, ..Layout::default() };
    let topology = Topology::with(layout).unwrap();
    Cluster::start_on(topology, &["--mode", "native"], |topology| vec![web(topology)]).unwrap()
}

/// What the driver counts of its queues under names that end so.
fn driver_counts(cluster: &Cluster, suffix: &str) -> u64 {
    let statistics = cluster.topology.node_a().namespace.run("ethtool", &["-S", "eth0"]).unwrap();
    let counts = statistics.lines().filter_map(|line| line.trim().split_once(": "));
    counts.filter(|(name, _)| name.ends_with(suffix)).map(|(_, count)| count.parse::<u64>().unwrap()).sum()
}

fn every_frontend_leads_to_every_pod(cluster: &Cluster) {
    let topology = &cluster.topology;
    for target in web(topology).targets(topology.node_a()) {
        let tally = requests(&topology.client, target, REQUESTS, 8);
        assert_eq!((tally.failures(), tally.answered.len()), (0, 4), "{target}: {tally:?}");
    }
}

fn transfers_arrive_whole(cluster: &Cluster) {
    let sessions = [(Kind::Connections, 2), (Kind::Exchange, 4), (Kind::Download, 4), (Kind::Upload, 4)];
    for family in IpFamily::ALL {
        let target = Target::tcp(EXTERNAL_IP.of(family), 80);
        let load = Load::start(&cluster.topology.client, target, &sessions).unwrap();
        load.advance(20).unwrap();
        load.finish().unwrap();
    }
}

/// From one socket: short ones, and such as arrive in fragments, which lack the ports but for the first.
fn datagrams_of_a_flow_reach_one_pod(cluster: &Cluster) {
    let long = vec![b'x'; 4000];
    for vip in EXTERNAL_IP.both() {
        let mut session = Session::open(&cluster.topology.client, Target::udp(vip, 80)).unwrap();
        let first = session.ask().unwrap();
        let Session::Udp(socket) = session else { panic!("no UDP socket") };
        for payload in [&b"who"[..], &long].repeat(5) {
            let answer = echo_that_fits(&socket, payload);
            assert_eq!(
                answer.unwrap_or_else(|error| panic!("{vip}, {} bytes: {error}", payload.len())),
                first
            );
        }
    }
}

#[test]
fn the_driver_runs_the_program_and_sends_out_by_the_card_that_a_packet_came_by() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    let cluster = cluster(Routing::Native);
    let namespace = &cluster.topology.node_a().namespace;
    let driver = namespace.run("ethtool", &["-i", "eth0"]).unwrap();
    assert!(driver.contains("driver: virtio_net"), "{driver}");
    let device = namespace.run("ip", &["-details", "link", "show", "eth0"]).unwrap();
    assert!(device.contains("prog/xdp ") && device.contains("name sluice_xdp"), "{device}");
    let interfaces = cluster.agents[0].sluice(&["get", "interfaces"]).unwrap();
    assert!(interfaces.contains("native"), "{interfaces}");

    every_frontend_leads_to_every_pod(&cluster);
    transfers_arrive_whole(&cluster);
    datagrams_of_a_flow_reach_one_pod(&cluster);
    for counter in ["_xdp_packets", "_xdp_tx"] {
        assert!(driver_counts(&cluster, counter) > 0, "{counter}");
    }
}

#[test]
fn pods_behind_an_overlay_are_reached_through_the_card() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    let cluster = cluster(Routing::Vxlan);
    every_frontend_leads_to_every_pod(&cluster);
    transfers_arrive_whole(&cluster);
    datagrams_of_a_flow_reach_one_pod(&cluster);
    assert!(driver_counts(&cluster, "_xdp_packets") > 0);
}
