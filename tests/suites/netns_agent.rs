//! The agent dies, restarts, is upgraded, and packets in flight do not notice.
#![allow(clippy::unwrap_used, reason = "a failed assumption is a failed test")]

use lb_tests::{
    agent::Agent,
    cluster::{Cluster, web},
    load::{Kind, Load},
    skip,
    topo::{EXTERNAL_IP, Routing},
    traffic::{IpFamily, Target, requests},
};

use aya::programs::{ProgramInfo, loaded_programs};
use lb_common::abi::program;

const VIP: Target = Target::tcp(EXTERNAL_IP.of(IpFamily::Ipv4), 80);

/// Every way of using a Service, over local and remote pods.
fn load(cluster: &Cluster) -> Load {
    let sessions = [(Kind::Connections, 4), (Kind::Exchange, 8), (Kind::Download, 6), (Kind::Upload, 6)];
    Load::start(&cluster.topology.client, VIP, &sessions).unwrap()
}

#[test]
fn nothing_is_lost_while_the_agent_is_dead() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    for routing in [Routing::Native, Routing::Vxlan] {
        let mut cluster = Cluster::web(routing, 2).unwrap();
        let load = load(&cluster);
        for agent in &mut cluster.agents {
            agent.kill().unwrap();
        }
        load.advance(50).unwrap();
        let fresh = requests(&cluster.topology.client, VIP, 100, 8);
        assert_eq!((fresh.failures(), fresh.answered.len()), (0, 4), "{fresh:?}");
        for agent in &mut cluster.agents {
            agent.start_again().unwrap();
        }
        load.advance(50).unwrap();
        load.finish().unwrap();
    }
}

#[test]
fn sigterm_leaves_everything_forwarding() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    let mut cluster = Cluster::web(Routing::Native, 2).unwrap();
    let load = load(&cluster);
    for agent in &mut cluster.agents {
        assert_eq!(agent.terminate().unwrap().code(), Some(0), "{}", agent.log_tail());
    }
    load.advance(50).unwrap();
    load.finish().unwrap();
    assert_eq!(requests(&cluster.topology.client, VIP, 100, 8).failures(), 0);
    // The maps speak for themselves.
    let services = cluster.agents[0].sluice(&["get", "services", "-A"]).unwrap();
    assert!(services.contains("web") && services.contains(&EXTERNAL_IP.v4.to_string()), "{services}");
}

/// Kernel ids of the program that each device runs, by way of its pin.
fn program_id(agent: &Agent) -> u32 {
    let pinned = ProgramInfo::from_pin(agent.pins().program(program::XDP)).unwrap();
    pinned.id()
}

#[test]
fn an_upgrade_replaces_the_programs_under_traffic() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    let mut cluster = Cluster::web(Routing::Native, 2).unwrap();
    let load = load(&cluster);
    for round in 0..5 {
        for agent in &mut cluster.agents {
            let before = program_id(agent);
            agent.terminate().unwrap();
            agent.start_again().unwrap();
            assert_ne!(program_id(agent), before, "round {round}: a start loads its own programs");
        }
        load.advance(10).unwrap();
    }
    load.finish().unwrap();
    let alive: Vec<_> = loaded_programs().flatten().map(|program| program.id()).collect();
    assert!(alive.contains(&program_id(&cluster.agents[0])));
}

#[test]
fn what_changed_while_the_agent_was_dead_takes_effect_when_it_starts() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    let mut cluster = Cluster::web(Routing::Native, 2).unwrap();
    cluster.agents.iter_mut().for_each(|agent| agent.kill().unwrap());
    let smaller = web(&cluster.topology).without("pod-a1").without("pod-b2");
    cluster.manifests.apply(&smaller).unwrap();
    let stale = requests(&cluster.topology.client, VIP, 60, 8);
    assert_eq!((stale.failures(), stale.answered.len()), (0, 4), "the last state goes on: {stale:?}");
    cluster.agents.iter_mut().for_each(|agent| agent.start_again().unwrap());
    let fresh = requests(&cluster.topology.client, VIP, 60, 8);
    assert_eq!(fresh.failures(), 0, "{fresh:?}");
    assert_eq!(fresh.answered.keys().collect::<Vec<_>>(), ["pod-a2", "pod-b1"]);
}

#[test]
fn a_node_that_fails_leaves_its_vips_to_the_other() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    let mut cluster = Cluster::web(Routing::Native, 2).unwrap();
    cluster.agents[0].kill().unwrap();
    cluster.topology.node_a().namespace.ip("link set eth0 down").unwrap();
    let topology = &cluster.topology;
    topology.route_vips_to(topology.node_b()).unwrap();
    let service = web(topology).without("pod-a1").without("pod-a2");
    cluster.apply(&service).unwrap();
    let tally = requests(&topology.client, VIP, 60, 8);
    assert_eq!(tally.failures(), 0, "{tally:?}");
    assert_eq!(tally.answered.keys().collect::<Vec<_>>(), ["pod-b1", "pod-b2"]);
}

#[test]
fn cleanup_leaves_nothing_behind_and_nothing_forwarded() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    let mut cluster = Cluster::web(Routing::Native, 1).unwrap();
    let node = cluster.topology.node_a();
    let shows_program =
        || node.namespace.run("ip", &["-details", "link", "show", "eth0"]).unwrap().contains("prog/xdp");
    assert!(shows_program());
    let agent = &mut cluster.agents[0];
    agent.terminate().unwrap();
    agent.sluice(&["cleanup"]).unwrap();
    assert!(!shows_program());
    assert!(!agent.pins().root().exists());
    assert_ne!(requests(&cluster.topology.client, VIP, 1, 1).failures(), 0);
}
