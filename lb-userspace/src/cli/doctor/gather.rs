//! Looking at the node. Whatever cannot be read becomes an unknown, not an error: a sick node is what doctors see.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    ops::RangeInclusive,
    path::Path,
};

use aya::programs::{SchedClassifier, TcAttachType};
use lb_common::{
    backend::{BACKEND_LOCAL, Backend},
    interface::{INTERFACE_OVERLAY, INTERFACE_UPLINK, Interface},
    service::{self, SERVICE_DSR, Service},
};
use nix::sys::utsname::uname;

use super::{
    facts::{DataPlane, Device, Dsr, Facts, Frontend, Role},
    kube_proxy,
};
use crate::{
    agent::preflight,
    cli::{
        CliError, devices,
        names::{self, FrontendType, Target},
        pins,
    },
    dataplane::{
        attach::{Hook, parse_link_name},
        cleanup,
        device::{self, Selection},
        lock::{Lock, LockError},
        pin::{PinDir, is_bpffs},
        pinned::Pinned,
        sys::{self, PinnedLinkInfo},
        usage,
    },
};

/// Bytes of the header that encapsulation puts before a packet (RFC 2003, RFC 2473).
const IPV4_HEADER: u32 = 20;
const IPV6_HEADER: u32 = 40;

/// Gathers everything.
///
/// # Errors
/// Where the kernel does not even list its devices, or a map that is there does not answer.
pub(crate) fn gather(dir: &PinDir, snat_ports: &RangeInclusive<u16>) -> Result<Facts, CliError> {
    let pinned = match pins::open(dir) {
        Ok(pinned) => Some(pinned),
        Err(CliError::NoMaps { .. } | CliError::OtherLayout { .. }) => None,
        Err(error) => return Err(error),
    };
    let mut other_layouts = cleanup::layouts(dir).unwrap_or_default();
    other_layouts.retain(|layout| *layout != dir.root());
    let existing = dir.base().ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    let interfaces = pinned.as_ref().map(Pinned::interfaces).transpose()?;
    let release = uname().map(|name| name.release().to_string_lossy().into_owned()).unwrap_or_default();
    Ok(Facts {
        version: version(&release),
        release,
        btf: Path::new("/sys/kernel/btf/vmlinux").exists(),
        missing_capabilities: preflight::effective_capabilities().map(preflight::missing).unwrap_or_default(),
        bpf_dir: dir.base().to_owned(),
        bpffs: is_bpffs(existing),
        other_layouts,
        agent_runs: agent_runs(dir),
        devices: gather_devices(dir, interfaces.as_ref())?,
        data_plane: pinned.as_ref().map(data_plane).transpose()?,
        ip_forward: is_on("ipv4/ip_forward"),
        ip6_forward: is_on("ipv6/conf/all/forwarding"),
        snat_ports: snat_ports.clone(),
        local_ports: sysctl("ipv4/ip_local_port_range").and_then(|text| {
            let (first, last) = text.split_once(char::is_whitespace)?;
            Some(first.parse().ok()?..=last.trim().parse().ok()?)
        }),
        reserved_ports: sysctl("ipv4/ip_local_reserved_ports")
            .map(|text| port_ranges(&text))
            .unwrap_or_default(),
        kube_proxy: kube_proxy::claims(),
    })
}

/// Major and minor number of a release such as `6.12.1-amd64`.
fn version(release: &str) -> (u8, u8) {
    let mut parts = release.split(['.', '-']).map_while(|part| part.parse().ok());
    (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
}

/// Whether the lock that an agent holds can be taken: it is let go at once.
fn agent_runs(dir: &PinDir) -> Option<bool> {
    if !dir.base().exists() {
        return Some(false);
    }
    match Lock::take(dir) {
        Ok(_) => Some(false),
        Err(LockError::Held { .. }) => Some(true),
        Err(LockError::Io { .. }) => None,
    }
}

/// A sysctl below `net`.
fn sysctl(path: &str) -> Option<String> {
    Some(fs::read_to_string(Path::new("/proc/sys/net").join(path)).ok()?.trim().to_owned())
}

/// A sysctl that is a switch.
fn is_on(path: &str) -> Option<bool> {
    sysctl(path).map(|value| value != "0")
}

/// A list like `8080,9000-9100`.
fn port_ranges(list: &str) -> Vec<RangeInclusive<u16>> {
    let entries = list.split(',').filter_map(|entry| {
        let (first, last) = entry.split_once('-').unwrap_or((entry, entry));
        Some(first.trim().parse().ok()?..=last.trim().parse().ok()?)
    });
    entries.collect()
}

/// Devices of the data plane; where there is none, those that an agent would choose.
fn gather_devices(
    dir: &PinDir,
    interfaces: Option<&BTreeMap<u32, Interface>>,
) -> Result<Vec<Device>, CliError> {
    let present = devices::list()?;
    let links = links(dir)?;
    let of = |device: &device::Device, role: Role| {
        let own = links.get(&device.index).cloned().unwrap_or_default();
        Device {
            tcx_before: own
                .keys()
                .flat_map(|hook| tcx_before(&device.name, *hook, own[hook].program))
                .collect(),
            links: own.into_iter().map(|(hook, link)| (hook, link.program)).collect(),
            role,
            xdp: device.xdp,
            forwarding: is_on(&format!("ipv4/conf/{}/forwarding", device.name)),
            forwarding6: is_on(&format!("ipv6/conf/{}/forwarding", device.name)),
            mtu: device.mtu,
            rp_filter: rp_filter(&device.name),
            name: device.name.clone(),
        }
    };
    let Some(interfaces) = interfaces else {
        let (selection, _) = Selection::choose(&present, &[].into(), &[]);
        return Ok(selection.uplinks.values().map(|device| of(device, Role::Uplink)).collect());
    };
    let devices = present.iter().filter_map(|device| {
        let interface = interfaces.get(&device.index)?;
        Some(of(device, role(device.index, interface, interfaces)))
    });
    Ok(devices.collect())
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

/// Live links by device and hook.
fn links(dir: &PinDir) -> Result<BTreeMap<u32, BTreeMap<Hook, PinnedLinkInfo>>, CliError> {
    let mut links = BTreeMap::<_, BTreeMap<_, _>>::new();
    for name in PinDir::list(&dir.links())? {
        let info = sys::pinned_link(&dir.links().join(&name)).ok().flatten();
        if let (Some((_, hook)), Some(info)) = (parse_link_name(&name), info) {
            // A link of a device that is gone has interface index 0, which no device has.
            links.entry(info.ifindex).or_default().insert(hook, info);
        }
    }
    Ok(links)
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

fn data_plane(pinned: &Pinned) -> Result<DataPlane, CliError> {
    let names = names::service_names(&pinned.names()?);
    let services = pinned.services()?;
    let frontends = services
        .iter()
        .filter(|(_, service)| service.flags & service::SERVICE_CATCH_ALL == 0)
        .map(|(key, service)| Frontend {
            target: Target::frontend(key),
            r#type: FrontendType::of(service.flags),
            service: names.get(&service.id).map(ToString::to_string).unwrap_or_default(),
            local: service.flags & service::SERVICE_LOCAL != 0,
            empty: service.ring_size == 0,
        })
        .collect();
    let backends = pinned.backends()?;
    let mut maps = usage::counted(pinned)?;
    maps.extend(usage::indexed(pinned, services.values(), backends.values()));
    let dsr = dsr(services.values(), backends.values(), pinned.peers()?.len());
    Ok(DataPlane { frontends, maps, dsr })
}

fn dsr<'a>(
    services: impl Iterator<Item = &'a Service>,
    backends: impl Iterator<Item = &'a Backend>,
    peers: usize,
) -> Dsr {
    let used: BTreeSet<_> =
        services.filter(|service| service.flags & SERVICE_DSR != 0).map(|service| service.id).collect();
    let away = backends.filter(|backend| !backend.address.is_none() && backend.flags & BACKEND_LOCAL == 0);
    let overhead = away.map(|backend| if backend.address.is_v4() { IPV4_HEADER } else { IPV6_HEADER }).max();
    Dsr { services: used.len(), peers, overhead: overhead.unwrap_or_default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_is_read_as_two_numbers() {
        assert_eq!(version("6.12.1-amd64"), (6, 12));
        assert_eq!(version("6.18-rc3"), (6, 18));
        assert_eq!(version("strange"), (0, 0));
    }

    #[test]
    fn reserved_ports_are_read_as_ranges() {
        assert_eq!(port_ranges("8080,9000-9100"), [8080..=8080, 9000..=9100]);
        assert_eq!(port_ranges(""), []);
    }
}
