//! What processes cost, as the kernel counts it.

use std::fs;

use anyhow::{Context, Result};
use nix::unistd::{SysconfVar, sysconf};

/// Seconds that a process has run with all of its threads, in user space and in the kernel (`utime` and `stime`,
/// proc_pid_stat(5)).
///
/// # Errors
/// Where it has ended.
pub(super) fn processor_seconds(pid: u32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The second field, a name in parentheses, may hold anything.
    let fields = stat.rsplit_once(") ").context("no name in /proc/PID/stat")?.1;
    let ticks: Vec<f64> = fields.split(' ').skip(11).take(2).map(str::parse).collect::<Result<_, _>>()?;
    Ok(ticks.iter().sum::<f64>() / ticks_per_second()?)
}

/// Seconds that the hypervisor ran others while a CPU had work (`steal`, proc_stat(5)).
///
/// # Errors
/// Where there is no such CPU.
pub(super) fn stolen_seconds(cpu: usize) -> Result<f64> {
    let stat = fs::read_to_string("/proc/stat")?;
    let line = stat.lines().find_map(|line| line.strip_prefix(&format!("cpu{cpu} ")));
    let steal = line.and_then(|line| line.split_whitespace().nth(7)).context("no steal in /proc/stat")?;
    Ok(steal.parse::<f64>()? / ticks_per_second()?)
}

/// A process and its children.
///
/// # Errors
/// Where it has ended.
pub(super) fn family(pid: u32) -> Result<Vec<u32>> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
    let mut family = vec![pid];
    for child in children.split_whitespace() {
        family.push(child.parse()?);
    }
    Ok(family)
}

/// A quantity of memory in `/proc/PID/status`, such as `VmRSS`, in MiB.
///
/// # Errors
/// Where the process has ended.
pub(super) fn mebibytes(pid: u32, field: &str) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kibibytes.map(|kibibytes| kibibytes / 1024.0).with_context(|| format!("no {field} of process {pid}"))
}

fn ticks_per_second() -> Result<f64> {
    Ok(sysconf(SysconfVar::CLK_TCK)?.context("no clock tick")? as f64)
}
