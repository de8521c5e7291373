//! The node's device.

use std::{collections::HashMap, time::Duration};

use anyhow::{Result, ensure};
use lb_common::flow::{FLOW_LOCAL, FLOW_REVERSE};
use lb_userspace::dataplane::pinned::Pinned;
use nix::net::if_::if_nametoindex;

use super::super::{Load, World};
use crate::{
    topo::{Node, second_uplink},
    wait, xdp_pass,
};

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

/// Every flow moves to an uplink that was not there when it began: first what comes in, then what goes out, and back.
pub(super) fn added(world: &mut World, load: &Load) -> Result<u64> {
    let (topology, node, links) = (&world.topology, world.node(), world.agent.pins().links());
    let attached = || PINS.map(|hook| links.join(format!("{}-{hook}", second_uplink::DEVICE)).exists());
    topology.add_uplink(node)?;
    wait::until_true("an uplink that was added has programs", || attached() == [true; 3])?;
    topology.route_vips_to_added_uplink()?;
    load.settle()?;
    topology.answer_by_added_uplink(node, true)?;
    load.settle()?;
    let index = node.namespace.enter(|| if_nametoindex(second_uplink::DEVICE))?;
    let all_moved = || moved(world, load, index).unwrap_or(false);
    wait::until_true("every flow to another node is answered by the uplink that was added", all_moved)?;
    let [received, sent] = frames(node, second_uplink::DEVICE)?;
    ensure!(
        received > 100 && sent > 100,
        "{received} frames came and {sent} went by the uplink that was added"
    );
    topology.answer_by_added_uplink(node, false)?;
    topology.route_vips_to(node)?;
    // A flow keeps its next hop until the agent has heard of the route; a device that goes before takes frames with it.
    let is_unused = || -> Result<bool> {
        let before = frames(node, second_uplink::DEVICE)?;
        load.settle()?;
        Ok(frames(node, second_uplink::DEVICE)? == before)
    };
    wait::until_true("no flow uses the uplink that is to go", || is_unused().unwrap_or(false))?;
    topology.remove_uplink(node)?;
    wait::until_true("nothing of an uplink that was removed is left", || attached() == [false; 3])?;
    Ok(0)
}

/// True where replies of other nodes leave by the device `index` in all IPv4 flows that carried any just now.
fn moved(world: &World, load: &Load, index: u32) -> Result<bool> {
    let maps = Pinned::open(&world.agent.pins())?;
    let replies = || -> Result<HashMap<_, _>> {
        let flows = maps.flows().collect::<Result<Vec<_>, _>>()?;
        let replies =
            flows.into_iter().filter(|(_, flow)| flow.flags & (FLOW_REVERSE | FLOW_LOCAL) == FLOW_REVERSE);
        Ok(replies.map(|(key, flow)| (key, (flow.last_seen, flow.ifindex))).collect())
    };
    let before = replies()?;
    load.settle()?;
    let after = replies()?;
    let mut carried = after
        .iter()
        .filter(|(key, (seen, _))| before.get(key).is_some_and(|(then, _)| then != seen))
        .peekable();
    Ok(carried.peek().is_some() && carried.all(|(_, (_, device))| *device == index))
}

/// Frames that a node's device received, and that it sent.
fn frames(node: &Node, device: &str) -> Result<[u64; 2]> {
    let shown = node.namespace.run("ip", &["-json", "-stats", "link", "show", device])?;
    let shown: serde_json::Value = serde_json::from_str(&shown)?;
    Ok(["rx", "tx"].map(|way| shown[0]["stats64"][way]["packets"].as_u64().unwrap_or_default()))
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
    let after = load.tally().datagrams;
    load.recover()?;
    Ok(after - before)
}
