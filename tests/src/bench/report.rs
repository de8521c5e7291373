//! Figures, and how they are printed.

use serde::Serialize;

/// Median and extremes of several rounds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Spread {
    /// Median.
    pub median: f64,
    /// Lowest round.
    pub min: f64,
    /// Highest round.
    pub max: f64,
}

impl Spread {
    /// The spread of `rounds`.
    ///
    /// # Panics
    /// Where there is no round.
    pub fn of(mut rounds: Vec<f64>) -> Self {
        rounds.sort_by(f64::total_cmp);
        Self { median: rounds[rounds.len() / 2], min: rounds[0], max: rounds[rounds.len() - 1] }
    }
}

/// Two quantiles.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Quantiles {
    /// Median.
    pub p50: f64,
    /// 99 of 100 are no longer.
    pub p99: f64,
}

impl Quantiles {
    /// The quantiles of `values`; not numbers where there is none.
    pub fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let at = |share: f64| values.get(((values.len() as f64 * share).ceil() as usize).max(1) - 1).copied();
        Self { p50: at(0.5).unwrap_or(f64::NAN), p99: at(0.99).unwrap_or(f64::NAN) }
    }
}

/// One row of a table.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// What was measured.
    pub case: String,
    /// Frontends in the maps.
    pub services: u32,
    /// Flows that packets took turns on.
    pub flows: u32,
    /// Cost.
    pub nanos: Spread,
    /// The floor of the same rounds.
    pub floor: f64,
    /// Median less the floor.
    pub net: f64,
}

/// Prints rows as a table under a title.
pub fn print(title: &str, rows: &[Row]) {
    println!("\n{title}");
    println!(
        "{:<48} {:>8} {:>8} {:>8} {:>8} {:>8}   MIN-MAX",
        "CASE", "SERVICES", "FLOWS", "NS", "FLOOR", "NET"
    );
    for row in rows {
        println!(
            "{:<48} {:>8} {:>8} {:>8.0} {:>8.0} {:>8.0}   {:.0}-{:.0}",
            row.case,
            row.services,
            row.flows,
            row.nanos.median,
            row.floor,
            row.net,
            row.nanos.min,
            row.nanos.max
        );
    }
}
