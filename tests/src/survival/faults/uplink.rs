//! The node's device.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::super::{Load, World};
use crate::{wait, xdp_pass};

/// How long a device stays down.
const DOWN: Duration = Duration::from_millis(300);
/// The links of an uplink.
const PINS: [&str; 3] = ["in", "out", "xdp"];

/// The kernel lets nobody in beside a link: neither in the same mode nor in another.
pub(super) fn foreign_program(world: &mut World, load: &Load) -> Result<u64> {
    ensure!(xdp_pass::attach(&world.node().namespace, &["eth0"]).is_err(), "two native programs on a device");
    load.settle()?;
    Ok(0)
}

pub(super) fn renamed(world: &mut World, load: &Load) -> Result<u64> {
    for (from, to) in [("eth0", "up0"), ("up0", "eth0")] {
        world.node().namespace.ip(&format!("link set {from} name {to}"))?;
        let links = world.agent.pins().links();
        let follow = || PINS.iter().all(|hook| links.join(format!("{to}-{hook}")).exists());
        wait::until_true("the pins follow the name", follow)?;
        load.settle()?;
    }
    Ok(0)
}

pub(super) fn mtu_changed(world: &mut World, load: &Load) -> Result<u64> {
    for mtu in [9000, 1500] {
        let port = world.node().name;
        world.topology.router.ip(&format!("link set {port} mtu {mtu}"))?;
        world.node().namespace.ip(&format!("link set eth0 mtu {mtu}"))?;
        load.settle()?;
        let shown = world.node().namespace.run("ip", &["-details", "link", "show", "eth0"])?;
        ensure!(shown.contains(&format!("mtu {mtu}")) && shown.contains(" xdp "), "{shown}");
    }
    Ok(0)
}

/// No packet gets through a device that is down. Its routes are gone with it, and come back as a network manager brings
/// them.
pub(super) fn flapped(world: &mut World, load: &Load) -> Result<u64> {
    let before = load.tally().datagrams;
    world.node().namespace.ip("link set eth0 down")?;
    wait::pause(DOWN);
    world.topology.restore_uplink(world.node())?;
    load.recover()?;
    Ok(load.tally().datagrams - before)
}
