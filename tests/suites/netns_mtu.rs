//! Links of every width: transfers and datagrams get through, because each side learns the path MTU.
#![allow(clippy::unwrap_used, reason = "a failed assumption is a failed test")]

use std::net::{IpAddr, UdpSocket};

use lb_tests::{
    cluster::{Cluster, near_and_far, near_and_far_vips},
    load::{Kind, Load},
    observe::path_mtu,
    pattern, skip,
    topo::{CLIENT, Layout, Routing, Topology},
    traffic::{IpFamily, Session, Target, echo, echo_that_fits},
};

/// Each way of an agent to meet packets, and of nodes to reach pods.
const WAYS: [(Routing, &str); 4] = [
    (Routing::Native, "native"),
    (Routing::Native, "tc"),
    (Routing::Vxlan, "native"),
    (Routing::Vxlan, "tc"),
];

fn start(layout: Layout, mode: &str) -> Cluster {
    Cluster::start_on(Topology::with(layout).unwrap(), &["--mode", mode], near_and_far).unwrap()
}

fn transfer(cluster: &Cluster, vip: IpAddr, kind: Kind) {
    let load = Load::start(&cluster.topology.client, Target::tcp(vip, 80), &[(kind, 2)]).unwrap();
    load.advance(50).unwrap();
    load.finish().unwrap();
}

fn udp(cluster: &Cluster, vip: IpAddr) -> UdpSocket {
    match Session::open(&cluster.topology.client, Target::udp(vip, 80)).unwrap() {
        Session::Udp(socket) => socket,
        Session::Tcp(_) => panic!("asked for UDP"),
    }
}

#[test]
fn a_narrow_link_behind_the_node_is_made_known_to_the_client() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    for (routing, mode) in WAYS {
        let cluster = start(Layout { routing, ..Layout::default() }, mode);
        cluster.topology.nodes.iter().for_each(|node| node.narrow_towards_pods(1300).unwrap());
        for (vip, pod) in near_and_far_vips() {
            transfer(&cluster, vip, Kind::Upload);
            let learned = path_mtu(&cluster.topology.client, vip).unwrap();
            assert_eq!(learned, Some(1300), "{routing:?} {mode}: towards {pod} by {vip}");
        }
    }
}

#[test]
fn a_narrow_link_before_the_client_is_made_known_to_the_pod() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    for (routing, mode) in WAYS {
        let mut cluster = start(Layout { routing, ..Layout::default() }, mode);
        cluster.topology.narrow_towards_client(1300).unwrap();
        let node = cluster.topology.node_a();
        let snat = if routing == Routing::Native { node.addresses } else { node.overlay_addresses() };
        for (vip, pod) in near_and_far_vips() {
            transfer(&cluster, vip, Kind::Download);
            let client = if pod == "pod-a1" { CLIENT } else { snat }.of(IpFamily::of(vip));
            let learned = path_mtu(cluster.topology.pod(pod).namespace(), client).unwrap();
            assert_eq!(learned, Some(1300), "{routing:?} {mode}: {pod} towards {client}");
        }
    }
}

#[test]
fn datagrams_in_fragments_arrive_whole_both_ways() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    for (routing, mode) in WAYS {
        let cluster = start(Layout { routing, ..Layout::default() }, mode);
        for (vip, pod) in near_and_far_vips() {
            let socket = udp(&cluster, vip);
            for length in [1472, 4096, 20_000, 60_000] {
                let answer = echo_that_fits(&socket, pattern::at(0, length));
                let answer = answer
                    .unwrap_or_else(|error| panic!("{routing:?} {mode}: {length} bytes to {vip}: {error}"));
                assert_eq!(answer.pod, pod);
            }
        }
    }
}

#[test]
fn datagrams_of_many_clients_in_fragments_do_not_mix() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    let cluster = start(Layout::default(), "native");
    let vips: Vec<_> = near_and_far_vips().collect();
    let sockets: Vec<_> =
        vips.iter().cycle().take(32).map(|(vip, pod)| (udp(&cluster, *vip), *vip, *pod)).collect();
    std::thread::scope(|scope| {
        for (number, (socket, vip, pod)) in sockets.iter().enumerate() {
            scope.spawn(move || {
                for round in 0..10 {
                    let payload = pattern::at((number * 1000 + round) as u64, 5000);
                    let answer = echo(socket, payload).unwrap_or_else(|error| panic!("{vip}: {error}"));
                    assert_eq!(answer.pod, *pod);
                }
            });
        }
    });
}

#[test]
fn jumbo_frames_reach_pods_of_ordinary_size() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    for (routing, mode) in WAYS {
        let cluster = start(Layout { routing, mtu: 9000, ..Layout::default() }, mode);
        if mode == "native" {
            let devices = cluster.agents[0].sluice(&["get", "interfaces"]).unwrap();
            assert!(devices.contains("ative"), "XDP takes frames of several pages: {devices}");
        }
        for (vip, pod) in near_and_far_vips() {
            transfer(&cluster, vip, Kind::Upload);
            transfer(&cluster, vip, Kind::Download);
            let socket = udp(&cluster, vip);
            for length in [1400, 8000, 20_000] {
                let answer = echo_that_fits(&socket, pattern::at(0, length));
                let answer = answer
                    .unwrap_or_else(|error| panic!("{routing:?} {mode}: {length} bytes to {vip}: {error}"));
                assert_eq!(answer.pod, pod);
            }
        }
    }
}
