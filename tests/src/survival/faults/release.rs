//! Upgrades, and back.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use aya::{maps::MapInfo, programs::ProgramInfo};
use lb_common::abi::{map, program};
use lb_userspace::dataplane::pin::{PinDir, map_pin};

use super::super::{Load, Tally, World};

/// Programs that choose from other source ports: those that flows hold already stay theirs.
pub(super) fn other_settings(world: &mut World, load: &Load) -> Result<u64> {
    let program = |world: &World| {
        let pin = world.agent.pins().program(program::XDP);
        ProgramInfo::from_pin(&pin).map(|info| info.id())
    };
    for more in [&["--snat-ports", "40000-48999"][..], &[]] {
        let before = program(world)?;
        world.agent.terminate()?;
        world.agent.set_more(more);
        world.agent.start_again()?;
        load.settle()?;
        ensure!(program(world)? != before, "the program was not replaced");
    }
    Ok(0)
}

/// What a release left whose layout differs in other maps than those of flows, and then one that is gone back to.
pub(super) fn other_layout(world: &mut World, load: &Load) -> Result<u64> {
    world.agent.terminate()?;
    let pins = world.agent.pins();
    let before = flow_table(&pins)?;
    let other = pretend_other_layout(&pins)?;
    let old =
        [map::DROPS, map::INTERFACES, map::SERVICE_STATS].map(|name| other.join("maps").join(map_pin(name)));
    for pin in old {
        fs::rename(&pin, pin.with_file_name(format!("{}9", file_name(&pin)?)))?;
    }
    world.agent.start_again()?;
    ensure!(!other.exists() && pins.root().exists(), "the layout was not taken over");
    ensure!(flow_table(&pins)? == before, "the flow table is another one");
    load.settle()?;
    Ok(0)
}

pub(super) fn other_flow_layout(world: &mut World, load: &Load) -> Result<u64> {
    world.agent.terminate()?;
    let pins = world.agent.pins();
    let before = flow_table(&pins)?;
    let other = pretend_other_layout(&pins)?;
    let pin = other.join("maps").join(map_pin(map::FLOWS));
    fs::rename(&pin, pin.with_file_name("flows-0"))?;
    world.agent.start_again()?;
    ensure!(!other.exists(), "the layout was not taken over");
    ensure!(flow_table(&pins)? != before, "the flow table is the same");
    load.settle()?;
    Ok(0)
}

/// The way up costs nothing that was opened once the older release knew its devices. Before that, it takes clients of pods of
/// this node for hairpins, which break with its programs; so the load begins anew.
pub(super) fn older(world: &mut World, load: &Load) -> Result<u64> {
    let older = world.older_release().context("no older release is known")?;
    world.agent.terminate()?;
    world.agent.set_release(Some(older));
    world.agent.start_again()?;
    load.settle()?;
    load.renew()?;
    let before = load.tally();
    world.agent.terminate()?;
    world.agent.set_release(None);
    world.agent.start_again()?;
    load.settle()?;
    let Tally { streams_broken, connections_failed, datagrams_lost, .. } = load.tally().since(&before);
    ensure!(
        (streams_broken, connections_failed, datagrams_lost) == (0, 0, 0),
        "the upgrade broke {streams_broken} streams, refused {connections_failed} connections and lost {datagrams_lost} datagrams"
    );
    Ok(0)
}

/// Which flow table packets are translated by.
fn flow_table(pins: &PinDir) -> Result<u32> {
    Ok(MapInfo::from_pin(pins.map(map::FLOWS))?.id())
}

/// Makes what is pinned the work of a release with another layout.
fn pretend_other_layout(pins: &PinDir) -> Result<PathBuf> {
    let other = pins.root().with_file_name("v998");
    fs::rename(pins.root(), &other)?;
    Ok(other)
}

fn file_name(path: &Path) -> Result<&str> {
    path.file_name().and_then(|name| name.to_str()).context("a pin has a name")
}
