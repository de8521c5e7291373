//! The figures, and how they are printed.

use serde::Serialize;

use super::{candidate::Candidate, machine::Machine};
use crate::bench::report::Spread;

/// All that was measured.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Figures {
    /// With what.
    pub machine: Machine,
    /// Rounds of each case and candidate.
    pub rounds: u32,
    /// Seconds of a round.
    pub seconds: u64,
    /// The matrix.
    pub cases: Vec<CaseFigures>,
    /// Resident memory at the end, MiB.
    pub resident_mebibytes: Vec<(Candidate, f64)>,
}

/// A row of the matrix.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CaseFigures {
    /// What was asked.
    pub case: String,
    /// What TLS agreed on with every candidate.
    pub tls: Option<String>,
    /// Requests per second that the generator gets from the endpoint itself.
    pub direct_rate: f64,
    /// Requests per second that the latencies were measured at.
    pub latency_rate: Option<f64>,
    /// Each proxy.
    pub proxies: Vec<ProxyFigures>,
}

/// A proxy in a case.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProxyFigures {
    /// Which.
    pub proxy: Candidate,
    /// Rounds that did not count.
    pub discarded: u32,
    /// Processor time, microseconds a request; none where no round counted.
    pub micros: Option<Spread>,
    /// Requests per second.
    pub rate: Option<Spread>,
    /// Share of its CPU that it used.
    pub busy: Option<Spread>,
    /// Milliseconds of the median request at a fixed rate.
    pub p50: Option<Spread>,
    /// Milliseconds that 99 of 100 requests take at most.
    pub p99: Option<Spread>,
}

impl CaseFigures {
    fn of(&self, proxy: Candidate) -> Option<&ProxyFigures> {
        self.proxies.iter().find(|figures| figures.proxy == proxy)
    }

    /// How often the best proxy's rate fits into what the generator can do.
    fn headroom(&self) -> Option<f64> {
        let rates = self.proxies.iter().filter_map(|figures| Some(figures.rate?.median));
        rates.reduce(f64::max).map(|best| self.direct_rate / best)
    }
}

/// Below this the generator limits the rates, and the proxies' processor time alone can be compared.
const ENOUGH_HEADROOM: f64 = 1.5;

/// Prints the figures under a title.
pub fn print(title: &str, figures: &Figures) {
    println!("\n{title}");
    figures.machine.print();
    println!(
        "{} rounds of {} s each, interleaved; medians (lowest-highest)",
        figures.rounds, figures.seconds
    );
    for case in &figures.cases {
        print_case(case);
    }
    println!("\nResident memory at the end, MiB");
    for (candidate, mebibytes) in &figures.resident_mebibytes {
        println!("  {:<16} {mebibytes:>8.1}", candidate.name());
    }
}

fn print_case(case: &CaseFigures) {
    println!("\n{}", case.case);
    if let Some(tls) = &case.tls {
        println!("  {tls}");
    }
    println!(
        "  {:<16} {:>20} {:>8} {:>10} {:>6} {:>20} {:>20} {:>10}",
        "PROXY", "CPU µs/REQUEST", "× nginx", "REQUESTS/s", "BUSY", "p50 ms", "p99 ms", "DISCARDED"
    );
    let nginx = case.of(Candidate::Nginx).and_then(|nginx| nginx.micros);
    for proxy in &case.proxies {
        let ratio = proxy.micros.zip(nginx).map(|(own, nginx)| own.median / nginx.median);
        println!(
            "  {:<16} {:>20} {:>8} {:>10} {:>6} {:>20} {:>20} {:>10}",
            proxy.proxy.name(),
            spread(proxy.micros, 1),
            ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}")),
            proxy.rate.map_or_else(|| "-".to_owned(), |rate| format!("{:.0}", rate.median)),
            proxy.busy.map_or_else(|| "-".to_owned(), |busy| format!("{:.0} %", busy.median * 100.0)),
            spread(proxy.p50, 2),
            spread(proxy.p99, 2),
            proxy.discarded
        );
    }
    if let Some(rate) = case.latency_rate {
        println!("  latencies at {rate:.0} requests/s");
    }
    print!("  generator alone {:.0} requests/s", case.direct_rate);
    match case.headroom() {
        Some(headroom) if headroom < ENOUGH_HEADROOM => println!(
            ", {headroom:.2} × the best proxy: it shares a CPU with the endpoint and limits the requests/s; compare CPU time"
        ),
        Some(headroom) => println!(", {headroom:.2} × the best proxy"),
        None => println!(),
    }
}

fn spread(spread: Option<Spread>, digits: usize) -> String {
    spread.map_or_else(
        || "-".to_owned(),
        |Spread { median, min, max }| format!("{median:.digits$} ({min:.digits$}-{max:.digits$})"),
    )
}
