//! What `docs/survival.md` says of each fault, once and under load. `cargo xtask test --soak` has them happen again and
//! again.
#![allow(clippy::unwrap_used, reason = "a failed assumption is a failed test")]

use lb_tests::{
    cluster::{Cluster, web},
    manifests::Service,
    skip,
    survival::{FAULTS, Load, World},
    topo::{EXTERNAL_IP, Routing},
    traffic::{IpFamily, Target, requests},
};

#[test]
fn every_fault_costs_no_more_than_the_document_says() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    let mut world = World::new().unwrap();
    let load = world.load().unwrap();
    for fault in &FAULTS {
        fault.inject(&mut world, &load).unwrap().check().unwrap();
    }
    assert_whole(load);
}

/// What has begun at a pod goes on there while it leaves; what begins meanwhile goes to the other node's pod.
#[test]
fn pods_that_leave_a_node_in_order_lose_nothing() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    let cluster = Cluster::web(Routing::Native, 1).unwrap();
    cluster.topology.keep_order().unwrap();
    let client = &cluster.topology.client;
    let load = Load::start(client, EXTERNAL_IP.both()).unwrap();
    cluster.apply(&web(&cluster.topology).terminating("pod-a1")).unwrap();
    load.settle().unwrap();
    for family in IpFamily::ALL {
        let answered = requests(client, Target::tcp(EXTERNAL_IP.of(family), 80), 40, 8).answered;
        assert_eq!(answered.into_keys().collect::<Vec<_>>(), ["pod-b1"]);
    }
    load.settle().unwrap();
    assert_whole(load);
}

/// The pods have left, the VIPs have moved to the other node: direct server return keeps the client's address, so that
/// the other node's flows are those of before.
#[test]
fn a_drained_node_is_cleaned_up_without_a_loss() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    let mut cluster = Cluster::start(Routing::Native, 1, |topology| {
        vec![Service::new("web", &topology.node_b().pods).external_ip(EXTERNAL_IP).dsr()]
    })
    .unwrap();
    cluster.topology.keep_order().unwrap();
    let load = Load::start(&cluster.topology.client, EXTERNAL_IP.both()).unwrap();
    cluster.topology.route_vips_to(cluster.topology.node_b()).unwrap();
    load.settle().unwrap();
    cluster.agents[0].terminate().unwrap();
    cluster.agents[0].sluice(&["cleanup"]).unwrap();
    assert!(!cluster.agents[0].pins().base().exists());
    load.settle().unwrap();
    assert_whole(load);
}

/// Nothing was lost since it was last counted.
fn assert_whole(load: Load) {
    let (notes, tally) = (load.notes(), load.finish());
    assert!(tally.is_whole(), "{tally:?} {notes:?}");
}
