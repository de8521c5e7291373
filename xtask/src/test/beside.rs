//! Groups that run beside the kernel group, whose tests wait for most of their time.
//!
//! They give way to it: `nice` keeps their share of a processor that both want to a tenth.

use std::env;
use std::fs::{self, File};
use std::process::{Command, ExitStatus, Stdio};
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result, anyhow};

use crate::tally::Tally;
use crate::{command, workspace};

/// nice(1).
const NICENESS: &str = "10";

/// Groups that run one after another, each by an xtask of its own.
pub(super) struct Beside(JoinHandle<Result<Vec<Ended>>>);

struct Ended {
    group: &'static str,
    output: String,
    status: ExitStatus,
}

impl Beside {
    /// Starts the first.
    pub(super) fn start(groups: &'static [&'static str]) -> Self {
        Self(thread::spawn(|| groups.iter().map(|group| run(group)).collect()))
    }

    /// Waits for the last, shows what they have printed and sums up what they counted.
    pub(super) fn finish(self) -> Result<Tally> {
        let groups = self.0.join().map_err(|_| anyhow!("what ran beside the kernel group died"))??;
        let mut total = Tally::default();
        for Ended { group, output, status } in groups {
            println!("\nbeside the kernel group: cargo xtask test {group}\n{output}");
            let tally = Tally::of_last_line(&output).unwrap_or_default();
            total.add(tally.finish(group, status.success()));
        }
        Ok(total)
    }
}

fn run(group: &'static str) -> Result<Ended> {
    let path = workspace::target_dir().join(format!("test-{group}.log"));
    let log = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    let mut xtask = Command::new("nice");
    xtask.args(["-n", NICENESS]).arg(env::current_exe()?).args(["test", group]);
    let status = command::status(xtask.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log))?;
    // Programs under test may print anything.
    let output = String::from_utf8_lossy(&fs::read(&path)?).into_owned();
    Ok(Ended { group, output, status })
}
