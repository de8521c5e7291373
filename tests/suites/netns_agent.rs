//! The agent dies, restarts, is upgraded, and packets in flight do not notice.
#![allow(clippy::unwrap_used, reason = "a failed assumption is a failed test")]

use std::{fs, mem, path::Path};

use lb_tests::{
    agent::Agent,
    cluster::{Cluster, SMALL_MAPS, web},
    load::{Kind, Load},
    skip,
    topo::{EXTERNAL_IP, Routing},
    traffic::{IpFamily, Target, requests},
    wait,
};

use aya::programs::{ProgramInfo, loaded_programs};
use lb_common::abi::program;
use lb_userspace::dataplane::{
    attach::{Hook, link_name},
    sys::{PinnedLinkInfo, pinned_link},
};

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

/// A cluster whose API server does not answer.
const NOBODY: &str = r#"{"apiVersion": "v1", "kind": "Config", "current-context": "c",
    "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:9"}}],
    "users": [{"name": "u", "user": {}}],
    "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}]}"#;

/// The links of a node's uplink, wherever they are pinned.
fn links(layout: &Path) -> Vec<PinnedLinkInfo> {
    let hooks = [Hook::Xdp, Hook::Ingress, Hook::Egress];
    hooks
        .map(|hook| pinned_link(&layout.join("links").join(link_name("eth0", hook))).unwrap().unwrap())
        .into()
}

#[test]
fn programs_of_another_layout_serve_until_the_maps_are_filled_and_then_hand_over_their_links() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    let mut cluster = Cluster::web(Routing::Native, 2).unwrap();
    cluster.agents[0].terminate().unwrap();
    let layout = cluster.agents[0].pins().root();
    let other = layout.with_file_name("v999");
    fs::rename(&layout, &other).unwrap();
    let before = links(&other);
    // An agent that learns of no Service keeps its hands off what serves.
    let directory = tempfile::tempdir().unwrap();
    let kubeconfig = directory.path().join("config");
    fs::write(&kubeconfig, NOBODY).unwrap();
    let topology = &cluster.topology;
    let mut waiting =
        Agent::spawn_following(&topology.name, topology.node_a(), &kubeconfig, directory.path(), &SMALL_MAPS)
            .unwrap();
    wait::until_true("the agent answers", || {
        waiting.admin("/healthz").is_ok_and(|(status, _)| status == 200)
    })
    .unwrap();
    let served = requests(&topology.client, VIP, 60, 8);
    assert_eq!((served.failures(), served.answered.len()), (0, 4), "{served:?}");
    assert_eq!(links(&other), before);
    waiting.kill().unwrap();
    // What it pinned belongs to the agent that comes next.
    mem::forget(waiting);
    // One that has filled its maps takes over.
    cluster.agents[0].start_again().unwrap();
    let after = links(&layout);
    for (before, after) in before.iter().zip(&after) {
        assert_eq!((before.id, before.ifindex), (after.id, after.ifindex), "the link itself stays");
        assert_ne!(before.program, after.program);
    }
    assert!(!other.exists());
    let served = requests(&cluster.topology.client, VIP, 60, 8);
    assert_eq!((served.failures(), served.answered.len()), (0, 4), "{served:?}");
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
