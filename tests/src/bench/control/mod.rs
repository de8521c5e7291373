//! The control plane at size: how long the agent takes from its start to full maps, from a change of one endpoint to
//! the last map write for it, and how much memory it needs.
//!
//! The real agent on a node of the test network follows an API server of the test harness. A change is timed from the
//! call that stores it in the server until the epoch is seen raised in the map, which is the last write for it; the
//! agent's own histogram begins where the event has arrived.

mod objects;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde::Serialize;
use tempfile::TempDir;

use self::objects::Objects;
use crate::{
    agent::Agent,
    api_server::{ApiServer, Gone, Hosted},
    bench::{process, report::Quantiles},
    topo::{Routing, Topology},
    wait,
};

const ENDPOINTS: u32 = 10;
/// Pause between two changes, longer than the agent collects a burst.
const PAUSE: Duration = Duration::from_millis(20);

/// How large the cluster is, and how much happens in it.
#[derive(Clone, Copy, Debug, clap::Args)]
#[command(next_help_heading = "Options of the part control")]
#[group(skip)]
pub struct Scale {
    /// Services of ten endpoints each.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=50_000))]
    pub services: u32,
    /// Changes of one endpoint.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..))]
    pub changes: u32,
}

/// What was measured.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Figures {
    /// Services.
    pub services: u32,
    /// Endpoints of each.
    pub endpoints: u32,
    /// Milliseconds from the agent's start until it says it is ready.
    pub first_sync_ms: f64,
    /// Milliseconds of processor time that the agent took for that: what is left where nothing else runs.
    pub first_sync_cpu_ms: f64,
    /// Changes of one endpoint that were timed.
    pub changes: u32,
    /// Milliseconds from the change in the API server to the last map write, as seen from outside.
    pub seen_ms: Quantiles,
    /// Milliseconds from the event's arrival to the last map write: bucket bounds of the agent's own histogram.
    pub agent_ms: Quantiles,
    /// Milliseconds of processor time that the agent took for each, mean.
    pub change_cpu_ms: f64,
    /// Resident memory after the changes, MiB.
    pub rss_mib: f64,
    /// The most that it ever was, MiB.
    pub peak_rss_mib: f64,
}

/// Measures.
///
/// # Errors
/// Where the agent does not come up, or a change does not arrive.
pub fn measure(scale: Scale) -> Result<Figures> {
    let topology = Topology::new(Routing::Native, 0)?;
    let files = TempDir::with_prefix(&topology.name)?;
    let node = topology.node_a();
    let server = Hosted::start(&node.namespace)?;
    let objects = Objects { node: node.name, address: node.addresses.v4, endpoints: ENDPOINTS };
    objects.all(scale.services).for_each(|object| server.api.apply(object));
    // Watches start behind what was just stored.
    server.api.expire(Gone::Event);
    let kubeconfig = files.path().join("config");
    server.api.write_kubeconfig(&kubeconfig);
    let started = Instant::now();
    let mut agent = Agent::spawn_following(&topology.name, node, &kubeconfig, files.path(), &[])?;
    agent.wait_ready()?;
    let first_sync_ms = millis(started.elapsed());
    let pid = agent.pid().context("the agent has ended")?;
    let first_sync_cpu_ms = process::processor_seconds(pid)? * 1e3;
    let seen = time_changes(scale, &server.api, &agent, &objects)?;
    let change_cpu_ms =
        (process::processor_seconds(pid)? * 1e3 - first_sync_cpu_ms) / f64::from(scale.changes);
    let (_, metrics) = agent.admin("/metrics")?;
    let agent_ms = histogram(&metrics, "sluice_programming_duration_seconds")?;
    Ok(Figures {
        services: scale.services,
        endpoints: ENDPOINTS,
        first_sync_ms,
        first_sync_cpu_ms,
        changes: scale.changes,
        seen_ms: Quantiles::of(seen),
        agent_ms,
        change_cpu_ms,
        rss_mib: process::mebibytes(pid, "VmRSS")?,
        peak_rss_mib: process::mebibytes(pid, "VmHWM")?,
    })
}

/// Prints the figures under a title.
pub fn print(title: &str, figures: &Figures) {
    println!("\n{title}");
    println!("{} Services of {} endpoints; {} changes", figures.services, figures.endpoints, figures.changes);
    let row = |name: &str, value: String| println!("{name:<60} {value:>16}");
    let first_sync = [figures.first_sync_ms, figures.first_sync_cpu_ms].map(|millis| millis / 1e3);
    row("agent's start to ready, s / processor time", format!("{:.2} / {:.2}", first_sync[0], first_sync[1]));
    let quantiles = |of: Quantiles| format!("{:.2} / {:.2}", of.p50, of.p99);
    row("change of one endpoint to last map write, ms p50 / p99", quantiles(figures.seen_ms));
    row("event's arrival to last map write, ms p50 / p99 at most", quantiles(figures.agent_ms));
    row("processor time of a change, ms", format!("{:.2}", figures.change_cpu_ms));
    row("resident memory, MiB now / most", format!("{:.0} / {:.0}", figures.rss_mib, figures.peak_rss_mib));
}

/// Replaces one endpoint at a time, each of another Service, and returns how long each took.
fn time_changes(scale: Scale, api: &ApiServer, agent: &Agent, objects: &Objects) -> Result<Vec<f64>> {
    let maps = agent.maps()?;
    let mut took = Vec::new();
    for change in 0..scale.changes {
        // A step that is prime to most numbers of Services leads to another one each time; who comes round again
        // finds the endpoint replaced and puts it back.
        let service = (u64::from(change) * 7919 % u64::from(scale.services)) as u32;
        let there = (change / scale.services).is_multiple_of(2);
        let object = objects.slice(service, there.then_some(change % ENDPOINTS));
        let before = maps.epoch()?;
        let started = Instant::now();
        api.apply(object);
        wait::until_true_every(Duration::from_micros(100), "the change arrives in the maps", || {
            maps.epoch().is_ok_and(|epoch| epoch != before)
        })?;
        took.push(millis(started.elapsed()));
        wait::pause(PAUSE);
    }
    Ok(took)
}

/// The bounds, in milliseconds, of the buckets that the quantiles of a histogram in seconds fall into.
fn histogram(metrics: &str, name: &str) -> Result<Quantiles> {
    let bucket = |line: &str| {
        let (bound, count) = line.strip_prefix(name)?.strip_prefix("_bucket{le=\"")?.split_once("\"} ")?;
        Some((bound.replace("+Inf", "inf").parse::<f64>().ok()?, count.parse::<f64>().ok()?))
    };
    let buckets: Vec<_> = metrics.lines().filter_map(bucket).collect();
    let all = buckets.last().map_or(0.0, |(_, count)| *count);
    ensure!(all > 0.0, "the agent's metrics have nothing under {name}");
    let at = |share: f64| {
        let found = buckets.iter().find(|(_, count)| *count >= all * share);
        found.map_or(f64::NAN, |(bound, _)| bound * 1e3)
    };
    Ok(Quantiles { p50: at(0.5), p99: at(0.99) })
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
