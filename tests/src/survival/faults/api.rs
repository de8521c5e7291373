//! The API server.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use lb_userspace::dataplane::{pin::PinDir, pinned::Pinned, sys::pinned_link};

use super::super::{Load, World};
use crate::wait;

/// Nothing that the agent does depends on how long the server is away: maps, links and readiness stay as they are while
/// every attempt to reach it fails.
pub(super) fn gone(world: &mut World, load: &Load) -> Result<u64> {
    let before = state(world)?;
    world.api().set_down(true);
    let errors = || world.agent.admin("/metrics").map(|(_, text)| broken_streams(&text)).unwrap_or_default();
    let failed = wait::until_true("every stream of the agent fails", || errors() >= 3);
    wait::pause(world.outage);
    load.settle()?;
    let meanwhile = (state(world)?, world.agent.admin("/readyz")?.0);
    world.api().set_down(false);
    failed?;
    ensure!(meanwhile == (before, 200), "without its API server, the agent changed: {meanwhile:?}");
    // The longer it was away, the longer the pause between two attempts.
    let works = || wait::until_true("every stream of the agent works", || errors() == 0);
    works().or_else(|_| works()).or_else(|_| works())?;
    Ok(0)
}

fn broken_streams(metrics: &str) -> usize {
    metrics
        .lines()
        .filter(|line| line.starts_with("sluice_source_connected{") && line.ends_with(" 0"))
        .count()
}

/// What the agent could do harm to: the tables, the programs on devices, and in a short outage the epoch, which sends every
/// flow to look at its way again. It follows routes and neighbours too, which change by themselves if there is time.
fn state(world: &World) -> Result<impl PartialEq + std::fmt::Debug> {
    let pins = world.agent.pins();
    let maps = Pinned::open(&pins)?;
    let links: BTreeMap<_, _> = PinDir::list(&pins.links())?
        .into_iter()
        .map(|name| Ok((name.clone(), pinned_link(&pins.links().join(name))?)))
        .collect::<Result<_>>()?;
    let epoch = world.outage.is_zero().then(|| maps.epoch()).transpose()?;
    let services = maps.services()?;
    let rings = services.values().map(|service| maps.ring(service)).collect::<Result<Vec<_>, _>>()?;
    let written = (services, rings, maps.backends()?, maps.names()?, maps.source_ranges()?, maps.peers()?);
    Ok((written, maps.interfaces()?, links, epoch))
}
