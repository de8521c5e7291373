//! The demo: a client, two nodes, four pods, one Service, what becomes of its requests while parts of it go away, and
//! Ingresses in front of it all.
//!
//! Every figure that it shows was measured in this run; it fails where a single request did.

mod guard;
mod ingresses;
mod requests;
mod screen;

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Context, Result, ensure};

use guard::Guard;
pub use guard::clean_up;
use screen::Screen;

use crate::{
    agent,
    cluster::{Cluster, NODE_PORT, web},
    ingress::INGRESS_IP,
    load::{Kind, Load, Progress},
    topo::{CLIENT, EXTERNAL_IP, LOAD_BALANCER_IP, Layout, Topology},
    traffic::Target,
};

/// What the names of the demo's namespaces and pin directories start with.
const NAME: &str = "sluice-demo";
/// The pod that leaves.
const LEAVING: &str = "pod-a1";
/// Steps of every session of the background load, before and after each event.
const STEPS: u64 = 60;

/// Where manifests and logs lie.
fn directory() -> PathBuf {
    Path::new("/run").join(NAME)
}

/// Runs the demo.
///
/// # Errors
/// Where a step fails or a request does.
pub fn run(keep: bool) -> Result<()> {
    agent::binary()?;
    agent::ingress_binary()?;
    let guard = Guard::acquire()?;
    let start = Instant::now();
    let screen = Screen::new();
    let mut cluster = guard.step(|| lay_out(&screen))?;
    guard.step(|| requests::from_everywhere(&screen, &cluster))?;
    guard.step(|| inspect(&screen, &cluster))?;
    guard.step(|| take_a_pod_away(&screen, &mut cluster))?;
    guard.step(|| take_an_agent_away(&screen, &mut cluster))?;
    let proxies = guard.step(|| ingresses::answer(&screen, &mut cluster, &directory()))?;
    if keep {
        proxies.keep();
        guard.step(|| leave_running(&screen, cluster))?;
    } else {
        guard.step(|| {
            drop(proxies);
            drop(cluster);
            guard::wipe()
        })?;
        screen.done("removed every namespace, program and map again");
    }
    screen.plain(&format!("\nDone in {:.1} s, no request failed.", start.elapsed().as_secs_f64()));
    Ok(())
}

fn lay_out(screen: &Screen) -> Result<Cluster> {
    screen.title("Network, in namespaces of this machine");
    let topology = Topology::named(NAME, Layout { pods: 2, ..Layout::default() })?;
    let pods = |node: &crate::topo::Node| {
        node.pods
            .iter()
            .map(|pod| format!("{} {}", pod.name, pod.addresses.v4))
            .collect::<Vec<_>>()
            .join("   ")
    };
    let [a, b] = &topology.nodes;
    screen.plain(&format!(
        "  client {} ── router ─┬─ {} {}   {}\n{:33}└─ {} {}   {}\n",
        CLIENT.v4,
        a.name,
        a.addresses.v4,
        pods(a),
        "",
        b.name,
        b.addresses.v4,
        pods(b)
    ));
    screen.done("network and pods are up");
    let cluster = Cluster::start_in(&directory(), topology, &[], |topology| vec![web(topology)])?;
    screen.done("sluice agent is ready on node-a and node-b");

    screen.title(&format!("Manifests, in {}", cluster.manifests.directory().display()));
    let yaml = web(&cluster.topology).yaml();
    let service = yaml.split("---\n").next().unwrap_or_default();
    screen.quote(service);
    screen.plain("  … and an EndpointSlice of four pods, and two Nodes.");
    Ok(cluster)
}

fn inspect(screen: &Screen, cluster: &Cluster) -> Result<()> {
    let node = &cluster.agents[0];
    let (client, vip) = (format!("{}:40000", CLIENT.v4), format!("{}:80", EXTERNAL_IP.v4));
    for command in [&["get", "services"][..], &["trace", "tcp", &client, &vip]] {
        screen.title(&format!("node-a$ sluice {}", command.join(" ")));
        screen.quote(&node.sluice(command)?);
    }
    Ok(())
}

fn take_a_pod_away(screen: &Screen, cluster: &mut Cluster) -> Result<()> {
    screen.title(&format!("{LEAVING} leaves: web.yaml is edited, then the pod is stopped"));
    let service = web(&cluster.topology);
    let load = start_load(cluster, &[(Kind::Connections, 12)])?;
    load.advance(STEPS)?;
    cluster.apply(&service.clone().terminating(LEAVING))?;
    load.advance(STEPS / 10)?;
    cluster.apply(&service.without(LEAVING))?;
    load.advance(STEPS / 10)?;
    cluster.topology.pod(LEAVING).stop()?;
    load.advance(STEPS)?;
    report(screen, "meanwhile", load)?;
    requests::table(screen, cluster, &[requests::Row::external_ip(cluster.topology.node_a())])
}

fn take_an_agent_away(screen: &Screen, cluster: &mut Cluster) -> Result<()> {
    screen.title("The agent of node-a dies (kill -9) under transfers and requests");
    let sessions = [(Kind::Connections, 4), (Kind::Exchange, 4), (Kind::Download, 4), (Kind::Upload, 4)];
    let load = start_load(cluster, &sessions)?;
    load.advance(STEPS)?;
    let agent = &mut cluster.agents[0];
    let pid = agent.pid().context("the agent of node-a does not run")?;
    agent.kill()?;
    screen.done(&format!("killed process {pid}; maps and programs stay in the kernel"));
    load.advance(STEPS * 4)?;
    cluster.agents[0].start_again()?;
    screen.done("started it again; it took over what it found");
    load.advance(STEPS)?;
    report(screen, "meanwhile", load)
}

fn start_load(cluster: &Cluster, sessions: &[(Kind, usize)]) -> Result<Load> {
    Load::start(&cluster.topology.client, Target::tcp(EXTERNAL_IP.v4.into(), 80), sessions)
}

fn report(screen: &Screen, when: &str, load: Load) -> Result<()> {
    let Progress { requests, bytes } = load.progress();
    load.finish()?;
    let transferred = if bytes == 0 {
        String::new()
    } else {
        format!(", {:.0} MB of transfers arrived whole", bytes as f64 / 1e6)
    };
    screen.done(&format!("{when}: {requests} requests, none failed{transferred}"));
    Ok(())
}

fn leave_running(screen: &Screen, cluster: Cluster) -> Result<()> {
    cluster.apply(&web(&cluster.topology))?;
    let sluice = agent::binary()?;
    let [a, _] = &cluster.topology.nodes;
    let inside = |role: &str| format!("nsenter --net=/run/netns/{NAME}-{role}");
    let on_a = format!("{} {}", inside(a.name), sluice.display());
    let pins = format!("--bpf-dir {}", cluster.agents[0].pins().base().display());
    screen.title("Everything is left running. Try:");
    for line in [
        format!("{} curl http://{}/", inside("client"), EXTERNAL_IP.v4),
        format!("{} curl http://{}/", inside("client"), LOAD_BALANCER_IP.v4),
        format!("{} curl http://{}:{NODE_PORT}/", inside("client"), a.addresses.v4),
        format!("{} curl http://{}/hello-cisco", inside("client"), INGRESS_IP.v4),
        format!("{on_a} get flows {pins}"),
        format!("{on_a} doctor {pins}"),
        format!("edit {}/web.yaml", cluster.manifests.directory().display()),
        format!("tail -f {}/node-a.log", directory().display()),
    ] {
        screen.plain(&format!("  {line}"));
    }
    screen.title("To remove it:");
    screen.plain("  cargo xtask demo --cleanup");
    ensure!(cluster.agents.iter().all(|agent| agent.pid().is_some()), "an agent has ended by itself");
    cluster.keep();
    Ok(())
}
