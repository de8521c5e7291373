//! What the figures were measured with.

use std::{fs, process::Command, thread};

use anyhow::{Context, Result};
use serde::Serialize;

use crate::agent;

/// Programs, kernel and processor.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Machine {
    /// Versions of what was measured and of what made the load.
    pub programs: Vec<String>,
    /// Kernel.
    pub kernel: String,
    /// Processor.
    pub processor: String,
    /// How many.
    pub processors: usize,
    /// Congestion control of TCP.
    pub congestion_control: String,
    /// Mean number of tasks that wanted to run in the minute before.
    pub load_before: f64,
}

impl Machine {
    /// Asks the programs and the kernel.
    ///
    /// # Errors
    /// Where one does not answer.
    pub(super) fn ask() -> Result<Self> {
        let sluice = agent::ingress_binary()?.display().to_string();
        let programs = [
            ("nginx", "-v"),
            ("haproxy", "-v"),
            (sluice.as_str(), "--version"),
            ("wrk", "-v"),
            ("h2load", "--version"),
        ];
        let processors = fs::read_to_string("/proc/cpuinfo")?;
        let model = processors.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let kernel = |path: &str| Ok::<_, anyhow::Error>(fs::read_to_string(path)?.trim().to_owned());
        let load = fs::read_to_string("/proc/loadavg")?;
        Ok(Self {
            programs: programs.into_iter().map(|(name, flag)| version(name, flag)).collect::<Result<_>>()?,
            kernel: kernel("/proc/sys/kernel/osrelease")?,
            processor: model.map_or_else(|| "unknown".to_owned(), |(_, model)| model.to_owned()),
            processors: thread::available_parallelism()?.get(),
            congestion_control: kernel("/proc/sys/net/ipv4/tcp_congestion_control")?,
            load_before: load.split(' ').next().context("no load")?.parse()?,
        })
    }

    /// Prints it.
    pub(super) fn print(&self) {
        println!("{}", self.programs.join("; "));
        println!(
            "Linux {}, {} × {}, TCP {}, load before {:.1}",
            self.kernel, self.processors, self.processor, self.congestion_control, self.load_before
        );
    }
}

/// The first line that a program says about its version, without the address of its home.
fn version(program: &str, flag: &str) -> Result<String> {
    // wrk ends with 1 after it has said it.
    let output =
        Command::new(program).arg(flag).output().with_context(|| format!("cannot start {program}"))?;
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    let line = text.lines().next().with_context(|| format!("{program} {flag} says nothing"))?;
    let end = [" - http", " [", " Copyright"].into_iter().filter_map(|mark| line.find(mark)).min();
    Ok(line[..end.unwrap_or(line.len())].to_owned())
}
