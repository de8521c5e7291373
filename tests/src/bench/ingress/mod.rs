//! What a request costs in `sluice-ingress`, beside Debian's nginx and haproxy.
//!
//! Each proxy has one thread on one CPU; the generator of load and the endpoint have another. What counts is the
//! processor time that the kernel charges the proxy for a request: unlike requests per second it hardly depends on what
//! else the machine does, and rounds are interleaved so that what does not cancel out meets all alike. Latencies are
//! measured at half the rate that nginx reaches, the same for all.

mod candidate;
mod case;
mod certificate;
mod figures;
mod generator;
mod machine;
mod round;
mod site;

use std::time::Duration;

use anyhow::{Result, ensure};

pub use self::{
    candidate::Candidate,
    figures::{CaseFigures, Figures, ProxyFigures, print},
    machine::Machine,
};
use self::{
    case::{CASES, Case},
    round::Round,
    site::Site,
};
use super::report::Spread;

/// How long it takes.
#[derive(Clone, Copy, Debug, clap::Args)]
#[command(next_help_heading = "Options of the part ingress")]
#[group(skip)]
pub struct Scale {
    /// Rounds of each case and proxy.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=50))]
    pub rounds: u32,
    /// Seconds of a round.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=60))]
    pub seconds: u64,
}

/// Measures every case with every proxy.
///
/// # Errors
/// Where a program is missing, does not start, or fails a request.
pub fn measure(scale: Scale) -> Result<Figures> {
    let machine = Machine::ask()?;
    let site = Site::start()?;
    let cases = CASES.into_iter().map(|case| measure_case(&site, case, scale)).collect::<Result<_>>()?;
    let memory = |proxy| Ok((proxy, site.resident_mebibytes(proxy)?));
    let resident_mebibytes = Candidate::PROXIES.into_iter().map(memory).collect::<Result<_>>()?;
    Ok(Figures { machine, rounds: scale.rounds, seconds: scale.seconds, cases, resident_mebibytes })
}

/// Rounds of a candidate in a case.
#[derive(Default)]
struct Rounds {
    kept: Vec<Round>,
    discarded: u32,
    /// p50 and p99 of each round at a fixed rate.
    latencies: [Vec<f64>; 2],
}

impl Rounds {
    fn spread(&self, of: impl Fn(&Round) -> f64) -> Option<Spread> {
        spread(&self.kept.iter().map(of).collect::<Vec<_>>())
    }
}

fn spread(values: &[f64]) -> Option<Spread> {
    (!values.is_empty()).then(|| Spread::of(values.to_vec()))
}

fn measure_case(site: &Site, case: Case, scale: Scale) -> Result<CaseFigures> {
    eprintln!("measuring: {}", case.name);
    let time = Duration::from_secs(scale.seconds);
    let mut all = Candidate::ALL.map(|candidate| (candidate, Rounds::default()));
    for _ in 0..scale.rounds {
        for (candidate, rounds) in &mut all {
            let (kept, discarded) = round::run(site, case, *candidate, time)?;
            rounds.kept.extend(kept);
            rounds.discarded += discarded;
        }
    }
    let median_rate = |of: Candidate| {
        let rounds = all.iter().find(|(candidate, _)| *candidate == of).map(|(_, rounds)| rounds);
        rounds.and_then(|rounds| rounds.spread(|round| round.rate)).map(|rate| rate.median)
    };
    let direct_rate = median_rate(Candidate::Direct).unwrap_or(f64::NAN);
    let latency_rate = median_rate(Candidate::Nginx).filter(|_| case.clients.stay()).map(|rate| rate / 2.0);
    let mut tls: Vec<_> = all.iter().flat_map(|(_, rounds)| &rounds.kept).map(|round| &round.tls).collect();
    tls.sort();
    tls.dedup();
    ensure!(tls.len() <= 1, "{}: the proxies agree on different TLS: {tls:?}", case.name);
    let tls = tls.into_iter().next().cloned().flatten();
    if let Some(rate) = latency_rate {
        for _ in 0..scale.rounds {
            for (proxy, rounds) in all.iter_mut().filter(|(candidate, _)| *candidate != Candidate::Direct) {
                let target = proxy.address(case.clients.tls());
                let quantiles = generator::at_rate(site, case, target, time, rate)?;
                rounds.latencies[0].push(quantiles.p50);
                rounds.latencies[1].push(quantiles.p99);
            }
        }
    }
    let proxies = all.into_iter().filter(|(candidate, _)| *candidate != Candidate::Direct);
    let proxies = proxies.map(|(proxy, rounds)| figures_of(proxy, &rounds)).collect();
    Ok(CaseFigures { case: case.name.to_owned(), tls, direct_rate, latency_rate, proxies })
}

fn figures_of(proxy: Candidate, rounds: &Rounds) -> ProxyFigures {
    ProxyFigures {
        proxy,
        discarded: rounds.discarded,
        micros: rounds.spread(|round| round.micros),
        rate: rounds.spread(|round| round.rate),
        busy: rounds.spread(|round| round.busy),
        p50: spread(&rounds.latencies[0]),
        p99: spread(&rounds.latencies[1]),
    }
}
