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
/// How long nothing may arrive before what is under way counts as lost: far longer than the kernel takes for all of it.
const STALLED: Duration = Duration::from_millis(2);

/// What became of a round's frames.
pub(super) struct Sent {
    pub(super) sent: u64,
    pub(super) arrived: u64,
    /// Time spent waiting for frames that were lost, which is nobody's cost.
    pub(super) in_vain: Duration,
}

/// Sends at least so many frames in the kernel and waits until the last has arrived, or is lost.
pub(super) fn send(program: &Xdp, frames: u32, end: &mut Ebpf) -> Result<Sent> {
    let data = [0; 64];
    let before = counted(end)?;
    let (mut sent, mut lost, mut in_vain) = (0, 0, Duration::ZERO);
    while sent < u64::from(frames) {
        program.test_run(TestRunOptions {
            data_in: Some(&data),
            repeat: IN_FLIGHT,
            attrs: TestRunAttrs::new().xdp_live_frames(BATCH),
            ..TestRunOptions::default()
        })?;
        sent += u64::from(IN_FLIGHT);
        let (mut arrived, mut progress) = (counted(end)? - before, Instant::now());
        while arrived + lost < sent {
            if progress.elapsed() > STALLED {
                in_vain += progress.elapsed();
                break;
            }
            // ksoftirqd has the rest, on this CPU.
            sched_yield()?;
            let now = counted(end)? - before;
            if now > arrived {
                (arrived, progress) = (now, Instant::now());
            }
        }
        lost = sent.saturating_sub(arrived);
        ensure!(lost * 100 <= u64::from(frames), "{lost} of {sent} frames did not arrive");
    }
    Ok(Sent { sent, arrived: sent - lost, in_vain })
}

fn counted(sink: &mut Ebpf) -> Result<u64> {
    let counts: PerCpuArray<_, u64> = PerCpuArray::try_from(sink.map_mut("count").context("count")?)?;
    Ok(counts.get(&1, 0)?.iter().sum())
}
