//! The flow table forgets halves at random, under load, and no connection notices.
#![allow(clippy::unwrap_used, reason = "a failed assumption is a failed test")]

use lb_tests::{
    cluster::{Cluster, web},
    eviction::{Evicted, Evictor},
    load::{Kind, Load},
    manifests::Service,
    skip,
    topo::{EXTERNAL_IP, Routing, Topology},
    traffic::{IpFamily, Target},
};

const ROUNDS: u32 = 40;

/// So few that new flows keep asking for the source ports of flows whose halves are lost, and enough for them all.
const FEW_PORTS: &str = "60000-60799";

fn survives_evictions(
    family: IpFamily,
    routing: Routing,
    services: fn(&Topology) -> Vec<Service>,
) -> Evicted {
    let topology = Topology::new(routing, 2).unwrap();
    let cluster = Cluster::start_on(topology, &["--snat-ports", FEW_PORTS], services).unwrap();
    let sessions = [(Kind::Connections, 4), (Kind::Exchange, 12), (Kind::Download, 12), (Kind::Upload, 8)];
    let target = Target::tcp(EXTERNAL_IP.of(family), 80);
    let load = Load::start(&cluster.topology.client, target, &sessions).unwrap();
    let mut evictor = Evictor::open(&cluster.agents[0].pins()).unwrap();
    let mut total = Evicted::default();
    for round in 0..ROUNDS {
        total.add(evictor.evict().unwrap());
        if let Err(error) = load.advance(2) {
            panic!("{family}, round {round}, {total:?}: {error:#}\n{}", counters(&cluster));
        }
    }
    load.finish().unwrap();
    println!("{total:?}\n{}", counters(&cluster));
    total
}

/// What the first node counted.
fn counters(cluster: &Cluster) -> String {
    let maps = cluster.agents[0].maps().unwrap();
    format!("{:?}\n{:?}", maps.stats().unwrap(), maps.drops().unwrap())
}

#[test]
fn flows_to_pods_on_this_and_on_the_other_node_survive_evictions() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    for family in IpFamily::ALL {
        let total = survives_evictions(family, Routing::Native, |topology| vec![web(topology)]);
        let each = [total.local_forward, total.local_reverse, total.remote_forward, total.remote_reverse];
        assert!(
            each.iter().all(|count| *count > ROUNDS),
            "{family}: every kind of half was evicted: {total:?}"
        );
    }
}

#[test]
fn flows_behind_an_overlay_survive_evictions() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    for family in IpFamily::ALL {
        let total = survives_evictions(family, Routing::Vxlan, |topology| {
            vec![Service::new("web", &topology.node_b().pods).external_ip(EXTERNAL_IP)]
        });
        assert!(total.remote_forward > ROUNDS && total.remote_reverse > ROUNDS, "{family}: {total:?}");
    }
}
