//! The agent's process.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use k8s_openapi::jiff::Timestamp;
use serde_json::Value;

use super::super::{Load, World};

pub(super) fn killed(world: &mut World, load: &Load) -> Result<u64> {
    world.agent.kill()?;
    // New flows are opened while nobody is there.
    load.settle()?;
    world.agent.start_again()?;
    Ok(0)
}

pub(super) fn terminated(world: &mut World, load: &Load) -> Result<u64> {
    let status = world.agent.terminate()?;
    ensure!(status.success(), "SIGTERM ended it with {status}");
    load.settle()?;
    world.agent.start_again()?;
    Ok(0)
}

pub(super) fn second(world: &mut World, _load: &Load) -> Result<u64> {
    let pins = world.agent.pins();
    refused(world, pins.base(), 7, "an agent is running")
}

pub(super) fn second_elsewhere(world: &mut World, _load: &Load) -> Result<u64> {
    let elsewhere = world.bpffs().join("elsewhere");
    refused(world, &elsewhere, 6, "of another Sluice agent")
}

/// Starts one more agent, which has to end with an exit code and a reason.
fn refused(world: &World, bpf_dir: &std::path::Path, code: i32, reason: &str) -> Result<u64> {
    let (status, log) = world.agent.start_second(bpf_dir)?;
    ensure!(status.code() == Some(code) && log.contains(reason), "{status}: {log}");
    ensure!(world.agent.admin("/readyz")?.0 == 200, "the first agent is ready no more");
    Ok(0)
}

pub(super) fn in_the_future(world: &mut World, load: &Load) -> Result<u64> {
    shifted(world, load, 86_400)
}

pub(super) fn in_the_past(world: &mut World, load: &Load) -> Result<u64> {
    // A clock cannot be set behind the start of the machine; tests run on machines that have been up for minutes only.
    let uptime = std::fs::read_to_string("/proc/uptime")?;
    let seconds: f64 = uptime.split('.').next().unwrap_or_default().parse()?;
    shifted(world, load, -((seconds as i64) / 2).min(3_600))
}

/// Runs the agent with clocks that are wrong by some seconds. The kernel programs' clock is not.
fn shifted(world: &mut World, load: &Load, seconds: i64) -> Result<u64> {
    let clocks = [format!("--monotonic={seconds}"), format!("--boottime={seconds}")];
    let wrapper = ["unshare", "--time", &clocks[0], &clocks[1], "--"];
    world.agent.kill()?;
    world.agent.set_wrapper(&wrapper);
    world.agent.start_again()?;
    load.settle()?;
    let flows = ["get", "flows", "-o", "json"];
    let before = opened(&world.agent.sluice(&flows)?)?;
    let shifted = opened(&world.agent.sluice_by(&wrapper, &flows)?)?;
    let after = opened(&world.agent.sluice(&flows)?)?;
    world.agent.kill()?;
    world.agent.set_wrapper(&[]);
    world.agent.start_again()?;
    // Of flows that were there all the time: a client's port is used again.
    let lasting = before.into_iter().filter(|(tuple, time)| after.get(tuple) == Some(time)).collect();
    same_times(&shifted, &lasting)?;
    Ok(0)
}

/// When each half was opened, by its tuple.
fn opened(flows: &str) -> Result<BTreeMap<String, Timestamp>> {
    let list: Value = serde_json::from_str(flows)?;
    let flows = list["items"].as_array().context("no list of flows")?;
    let time = |flow: &Value| flow["openedAt"].as_str()?.parse::<Timestamp>().ok();
    let tuple = |flow: &Value| {
        ["half", "protocol", "client", "frontend"].map(|field| flow[field].to_string()).concat()
    };
    flows.iter().map(|flow| Ok((tuple(flow), time(flow).context("no time in openedAt")?))).collect()
}

fn same_times(shifted: &BTreeMap<String, Timestamp>, right: &BTreeMap<String, Timestamp>) -> Result<()> {
    let pairs = || shifted.iter().filter_map(|(tuple, time)| Some((tuple, time, right.get(tuple)?)));
    ensure!(pairs().count() > 0, "no flow is in both lists");
    for (tuple, shifted, right) in pairs() {
        let apart = shifted.as_second().abs_diff(right.as_second());
        ensure!(apart <= 2, "{tuple} was opened at {right}, and {shifted} by shifted clocks");
    }
    Ok(())
}
