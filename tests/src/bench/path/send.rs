//! Frames made in the kernel, a few under way at a time.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use aya::{Ebpf, TestRun, TestRunAttrs, TestRunOptions, maps::PerCpuArray, programs::Xdp};
use nix::sched::sched_yield;

/// Frames that `test_run` hands out at once: what the receiving veth takes in one poll.
const BATCH: u32 = 64;
/// Frames under way at most: the ring of a veth holds 256 (`VETH_RING_SIZE` in drivers/net/veth.c), and what finds it
/// full is lost.
const IN_FLIGHT: u32 = 3 * BATCH;
/// How long nothing may arrive before what is under way counts as lost.
const PATIENCE: Duration = Duration::from_secs(1);

/// Sends at least so many frames in the kernel and waits until the last has arrived; how many it were.
pub(super) fn send(program: &Xdp, frames: u32, end: &mut Ebpf) -> Result<u64> {
    let data = [0; 64];
    let before = counted(end)?;
    let mut sent = 0;
    while sent < u64::from(frames) {
        program.test_run(TestRunOptions {
            data_in: Some(&data),
            repeat: IN_FLIGHT,
            attrs: TestRunAttrs::new().xdp_live_frames(BATCH),
            ..TestRunOptions::default()
        })?;
        sent += u64::from(IN_FLIGHT);
        let (mut arrived, mut progress) = (counted(end)? - before, Instant::now());
        while arrived < sent {
            ensure!(progress.elapsed() < PATIENCE, "{} of {sent} frames did not arrive", sent - arrived);
            // ksoftirqd has the rest, on this CPU.
            sched_yield()?;
            let now = counted(end)? - before;
            if now > arrived {
                (arrived, progress) = (now, Instant::now());
            }
        }
    }
    Ok(sent)
}

fn counted(sink: &mut Ebpf) -> Result<u64> {
    let counts: PerCpuArray<_, u64> = PerCpuArray::try_from(sink.map_mut("count").context("count")?)?;
    Ok(counts.get(&1, 0)?.iter().sum())
}
