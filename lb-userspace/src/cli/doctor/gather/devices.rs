//! The devices that packets of Services come and go by.

use std::collections::{BTreeMap, BTreeSet};

use aya::programs::{SchedClassifier, TcAttachType};
use lb_common::interface::{INTERFACE_OVERLAY, INTERFACE_UPLINK, INTERFACE_XDP, Interface};

use super::{is_on, sysctl};
use crate::{
    cli::{
        CliError,
        doctor::facts::{Device, Role},
    },
    dataplane::{
        attach::{Hook, parse_link_name},
        device::{self, Selection},
        pin::PinDir,
        sys::{self, PinnedLinkInfo},
    },
};

/// Our links.
#[derive(Default)]
pub(super) struct Links {
    /// By device and hook.
    live: BTreeMap<u32, BTreeMap<Hook, PinnedLinkInfo>>,
    /// Names of devices that are gone and whose links are not.
    dead: BTreeSet<String>,
}

impl Links {
    /// Reads the links pinned under `dir`.
    ///
    /// # Errors
    /// Where they cannot be listed.
    pub(super) fn read(dir: &PinDir) -> Result<Self, CliError> {
        let mut links = Self::default();
        for pin in PinDir::list(&dir.links())? {
            let info = sys::pinned_link(&dir.links().join(&pin)).ok().flatten();
            let (Some((name, hook)), Some(info)) = (parse_link_name(&pin), info) else { continue };
            // What the kernel says of a link that its device has left behind (`bpf_xdp_link_fill_link_info`).
            if info.ifindex == 0 {
                links.dead.insert(name);
            } else {
                links.live.entry(info.ifindex).or_default().insert(hook, info);
            }
        }
        Ok(links)
    }
}

/// Those of the data plane, and those that should be in it; where there is none, those that an agent would choose.
pub(super) fn gather(
    present: &[device::Device],
    links: &Links,
    interfaces: Option<&BTreeMap<u32, Interface>>,
) -> Vec<Device> {
    let (chosen, _) = Selection::choose(present, &BTreeSet::new(), &[]);
    let Some(interfaces) = interfaces else {
        return chosen.uplinks.values().map(|device| read(device, links, Role::Uplink)).collect();
    };
    let devices = present.iter().filter_map(|device| match interfaces.get(&device.index) {
        Some(interface) => {
            let role = role(device.index, interface, interfaces);
            let has_xdp = interface.flags & INTERFACE_XDP != 0 && role != Role::Vlan;
            Some(Device { has_xdp, ..read(device, links, role) })
        }
        None => {
            let is_anew = links.dead.contains(&device.name);
            let counts = is_anew || chosen.uplinks.contains_key(&device.name);
            counts.then(|| Device { is_anew, ..read(device, links, Role::Outside) })
        }
    });
    devices.collect()
}

fn read(device: &device::Device, links: &Links, role: Role) -> Device {
    let own = links.live.get(&device.index).cloned().unwrap_or_default();
    Device {
        name: device.name.clone(),
        role,
        mtu: device.mtu,
        tcx_before: own
            .iter()
            .flat_map(|(hook, link)| tcx_before(&device.name, *hook, link.program))
            .collect(),
        links: own.into_iter().map(|(hook, link)| (hook, link.program)).collect(),
        has_xdp: false,
        is_anew: false,
        xdp: device.xdp,
        forwarding: is_on(&format!("ipv4/conf/{}/forwarding", device.name)),
        forwarding6: is_on(&format!("ipv6/conf/{}/forwarding", device.name)),
        rp_filter: rp_filter(&device.name),
    }
}

/// What the agent made of a device, by its entry in the `interfaces` map.
fn role(index: u32, interface: &Interface, interfaces: &BTreeMap<u32, Interface>) -> Role {
    let carries_vlans = || interfaces.values().any(|other| other.parent == index);
    if interface.flags & INTERFACE_OVERLAY != 0 {
        Role::Overlay
    } else if interface.parent != 0 {
        Role::Vlan
    } else if interface.flags & INTERFACE_UPLINK == 0 && carries_vlans() {
        Role::Parent
    } else {
        Role::Uplink
    }
}

/// tcx programs in front of ours. Listing them needs CAP_SYS_ADMIN: without it there are none to tell of.
fn tcx_before(device: &str, hook: Hook, ours: u32) -> Vec<(Hook, String)> {
    let direction = match hook {
        Hook::Xdp => return Vec::new(),
        Hook::Ingress => TcAttachType::Ingress,
        Hook::Egress => TcAttachType::Egress,
    };
    let Ok((_, programs)) = SchedClassifier::query_tcx(device, direction) else { return Vec::new() };
    let before = programs.iter().take_while(|program| program.id() != ours);
    before.map(|program| (hook, program.name_as_str().unwrap_or("without a name").to_owned())).collect()
}

fn rp_filter(device: &str) -> Option<u8> {
    let read = |name: &str| sysctl(&format!("ipv4/conf/{name}/rp_filter"))?.parse::<u8>().ok();
    Some(read("all")?.max(read(device)?))
}
