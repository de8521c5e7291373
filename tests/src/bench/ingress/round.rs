//! One round: so many seconds of load on one candidate.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

use super::{
    candidate::Candidate,
    case::Case,
    generator,
    site::{PROXY_CPU, Site},
};
use crate::bench::process;

/// Share of its CPU that a proxy has to use where the load suffices: one that waits pays for waking up.
const LEAST_BUSY: f64 = 0.85;
/// How often a round is tried.
const TRIES: u32 = 3;

/// What a round found.
#[derive(Clone, Debug)]
pub(super) struct Round {
    /// Processor time of the candidate, microseconds a request.
    pub(super) micros: f64,
    /// Requests per second.
    pub(super) rate: f64,
    /// Share of its CPU that the candidate used.
    pub(super) busy: f64,
    /// What TLS agreed on.
    pub(super) tls: Option<String>,
}

/// Runs a round until one counts; how many were discarded.
///
/// # Errors
/// Where requests fail.
pub(super) fn run(
    site: &Site,
    case: Case,
    candidate: Candidate,
    time: Duration,
) -> Result<(Option<Round>, u32)> {
    for tried in 0..TRIES {
        let (round, stolen) = once(site, case, candidate, time)
            .with_context(|| format!("{}, {}", case.name, candidate.name()))?;
        let idle = candidate != Candidate::Direct && case.saturates && round.busy < LEAST_BUSY;
        if stolen == 0.0 && !idle {
            return Ok((Some(round), tried));
        }
    }
    Ok((None, TRIES))
}

/// A round, and the seconds that the hypervisor took from the proxy's CPU.
fn once(site: &Site, case: Case, candidate: Candidate, time: Duration) -> Result<(Round, f64)> {
    let target: SocketAddr = candidate.address(case.clients.tls());
    let stolen = process::stolen_seconds(PROXY_CPU)?;
    let (before, start) = (site.processor_seconds(candidate)?, Instant::now());
    let load = generator::saturate(site, case, target, time)?;
    let (took, after) = (start.elapsed().as_secs_f64(), site.processor_seconds(candidate)?);
    let (requests, used) = (load.requests as f64, after - before);
    let round =
        Round { micros: used / requests * 1e6, rate: requests / took, busy: used / took, tls: load.tls };
    Ok((round, process::stolen_seconds(PROXY_CPU)? - stolen))
}
