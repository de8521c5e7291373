//! Network devices of this namespace.

use std::collections::{BTreeMap, BTreeSet};

use nix::net::if_::if_nameindex;

use super::CliError;
use crate::dataplane::{
    attach::{Hook, parse_link_name},
    device::Device,
    netlink::Netlink,
};

/// Every device with its addresses and its XDP program.
pub(crate) fn list() -> Result<Vec<Device>, CliError> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(CliError::Runtime)?;
    Ok(runtime.block_on(async { Netlink::open()?.devices().await })?)
}

/// Names by index; empty where the kernel does not tell.
pub(crate) fn names() -> BTreeMap<u32, String> {
    let Ok(devices) = if_nameindex() else { return BTreeMap::new() };
    devices.iter().map(|device| (device.index(), device.name().to_string_lossy().into_owned())).collect()
}

/// A device's name, or its number where it is gone.
pub(crate) fn name(names: &BTreeMap<u32, String>, ifindex: u32) -> String {
    names.get(&ifindex).cloned().unwrap_or_else(|| format!("if{ifindex}"))
}

/// Hooks by device name, from the names of pinned links.
pub(crate) fn hooks(links: &[String]) -> BTreeMap<String, BTreeSet<Hook>> {
    let mut hooks = BTreeMap::<_, BTreeSet<_>>::new();
    for (device, hook) in links.iter().filter_map(|link| parse_link_name(link)) {
        hooks.entry(device).or_default().insert(hook);
    }
    hooks
}
