//! What a soak held, injected and lost, as the table that `docs/survival.md` shows.

use std::{collections::BTreeMap, fmt, time::Duration};

use super::{Outcome, Tally};

/// All outcomes of one fault.
#[derive(Debug, Default)]
struct Row {
    times: u64,
    lost: Tally,
    meanwhile: u64,
    failures: Vec<String>,
}

/// Outcomes by fault.
#[derive(Debug, Default)]
pub(super) struct Report {
    rows: BTreeMap<&'static str, Row>,
}

impl Report {
    pub(super) fn add(&mut self, outcome: &Outcome) {
        let row = self.rows.entry(outcome.fault.name).or_default();
        row.times += 1;
        row.lost = row.lost.plus(&outcome.tally);
        row.meanwhile += outcome.meanwhile;
        row.failures.extend(outcome.check().err().map(|error| error.to_string()));
    }

    /// What cost more than it may.
    pub(super) fn failures(&self) -> Vec<&str> {
        self.rows.values().flat_map(|row| &row.failures).map(String::as_str).collect()
    }

    /// The load, in one sentence.
    pub(super) fn load(total: &Tally, time: Duration) -> String {
        let each_second = |count: u64| count as f64 / time.as_secs_f64();
        format!(
            "Load held for {:.0} s: 12 long-lived connections with {:.1} MB/s, every byte compared; {:.0} requests/s, of \
             which {:.0} over new connections; {:.0} datagrams/s, of which {} in all had no answer.",
            time.as_secs_f64(),
            each_second(total.bytes) / 1e6,
            each_second(total.requests),
            each_second(total.connections),
            each_second(total.datagrams),
            total.datagrams_lost,
        )
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "| fault | times | streams broken | connections failed | delayed | datagrams lost | sent while nothing could pass |"
        )?;
        writeln!(f, "|---|---|---|---|---|---|---|")?;
        for (name, Row { times, lost, meanwhile, .. }) in &self.rows {
            let Tally { streams_broken, connections_failed, connections_delayed, datagrams_lost, .. } = lost;
            writeln!(
                f,
                "| {name} | {times} | {streams_broken} | {connections_failed} | {connections_delayed} | {datagrams_lost} | \
                 {meanwhile} |"
            )?;
        }
        Ok(())
    }
}
