//! What the data plane holds and how it runs: full maps, generic XDP, direct server return.

use std::mem;

use lb_tests::{
    agent::Agent,
    cluster::{Cluster, SMALL_MAPS, near_and_far},
    dual_stack::DualStack,
    manifests::Service,
    skip,
    topo::{EXTERNAL_IP, Routing, Topology},
    traffic::{Target, requests},
};

use crate::diagnosis::{diagnose, diagnose_by};

const SIZES: [&str; 4] = ["--max-services", "32", "--max-flows6", "2048"];

#[test]
fn faults_of_the_data_plane_are_named() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    let arguments = [SIZES.as_slice(), &["--mode", "generic"]].concat();
    let topology = Topology::new(Routing::Native, 1).unwrap();
    let mut cluster = Cluster::start_on(topology, &arguments, |topology| {
        near_and_far(topology).into_iter().map(Service::dsr).collect()
    })
    .unwrap();
    an_mtu_too_small_for_direct_server_return(&cluster);
    maps_that_fill_up(&cluster);
    generic_xdp(&mut cluster);
}

fn an_mtu_too_small_for_direct_server_return(cluster: &Cluster) {
    let diagnosis = diagnose(cluster);
    // Two Services of two families, each with a TCP and a UDP port.
    let message = "8 Service ports are forwarded with direct server return, and eth0 has an MTU of 1500";
    diagnosis.names(
        "WARN",
        "dsr",
        message,
        "raise the MTU of eth0 and of the network between the nodes to 1540",
    );
    cluster.topology.node_a().namespace.ip("link set eth0 mtu 1540").unwrap();
    diagnose(cluster).passes("dsr");
    cluster.topology.node_a().namespace.ip("link set eth0 mtu 1500").unwrap();
}

fn maps_that_fill_up(cluster: &Cluster) {
    diagnose(cluster).passes("capacity");
    let extra: Vec<_> = [0x30, 0x31, 0x32]
        .map(|last: u8| {
            let vip = DualStack::new([203, 0, 113, last], [0x2001, 0xdb8, 0xf, 0, 0, 0, 0, last.into()]);
            Service::new(&format!("extra-{last}"), cluster.topology.pods()).external_ip(vip)
        })
        .into();
    extra.iter().for_each(|service| cluster.apply(service).unwrap());
    // Each flow takes two entries. What comes later takes the place of what was used least recently.
    let target = Target::udp(EXTERNAL_IP.v6.into(), 80);
    let tally = requests(&cluster.topology.client, target, 1200, 8);
    assert_eq!(tally.failures(), 0, "{tally:?}");
    let full = diagnose(cluster);
    full.names("WARN", "capacity", "services: 30 of 32 entries (93 %)", "a larger --max-services");
    full.names("WARN", "capacity", "flows6: ", "a larger --max-flows6");
    extra.iter().for_each(|service| cluster.delete(service).unwrap());
    diagnose(cluster).says_nothing_of("capacity", "services: 30");
}

fn generic_xdp(cluster: &mut Cluster) {
    let message = "eth0 is met in generic XDP, which is slower than tcx alone";
    diagnose(cluster).names("WARN", "programs", message, "--mode auto");
    cluster.agents[0].terminate().unwrap();
    let arguments = [SMALL_MAPS.as_slice(), &SIZES, &["--mode", "auto"]].concat();
    let directory = tempfile::tempdir().unwrap();
    let (topology, manifests) = (&cluster.topology, &cluster.manifests);
    let mut mended =
        Agent::spawn(&topology.name, topology.node_a(), manifests, directory.path(), &arguments).unwrap();
    mended.wait_ready().unwrap();
    let diagnosis = diagnose_by(&[], &mended, topology.node_a());
    mended.terminate().unwrap();
    // What it pinned is the same agent's as before, which cleans up.
    mem::forget(mended);
    diagnosis.passes("programs");
}
