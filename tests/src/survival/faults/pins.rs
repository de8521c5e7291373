//! The BPF file system.

use std::fs;

use anyhow::Result;

use super::super::{Load, World};
use crate::wait;

/// Somebody cleans up below /sys/fs/bpf. The agent holds what it pinned, and pins it again; then it may die as ever.
pub(super) fn removed(world: &mut World, load: &Load) -> Result<u64> {
    fs::remove_dir_all(world.agent.pins().root())?;
    come_back(world, load)
}

pub(super) fn unmounted(world: &mut World, load: &Load) -> Result<u64> {
    world.remount_bpffs()?;
    come_back(world, load)
}

fn come_back(world: &mut World, load: &Load) -> Result<u64> {
    let pins = world.agent.pins();
    let links = || lb_userspace::dataplane::pin::PinDir::list(&pins.links()).unwrap_or_default();
    wait::until_true("the pins come back", || links() == ["eth0-in", "eth0-out", "eth0-xdp"])?;
    load.settle()?;
    world.agent.kill()?;
    load.settle()?;
    world.agent.start_again()?;
    Ok(0)
}
