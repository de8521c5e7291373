//! Looking at the node. Whatever cannot be read becomes an unknown, not an error: a sick node is what doctors see.

mod devices;
mod reach;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::IpAddr,
    ops::RangeInclusive,
    path::Path,
};

use lb_common::{
    backend::{BACKEND_LOCAL, Backend},
    interface::{INTERFACE_UPLINK, Interface},
    service::{self, SERVICE_DSR, Service, ServiceKey},
};
use nix::sys::utsname::uname;

use self::{devices::Links, reach::Reach};
use super::{
    facts::{DataPlane, Dsr, Facts, Frontend, Place, Vip},
    kube_proxy,
};
use crate::{
    agent::preflight,
    cli::{
        self, CliError,
        names::{self, FrontendType, ServiceName, ServiceNames, Target},
        pins,
    },
    dataplane::{
        cleanup, device,
        lock::{Lock, LockError},
        pin::{PinDir, is_bpffs},
        pinned::{Pinned, PinnedError},
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
    let (pinned, denied) = match pins::open(dir) {
        Ok(pinned) => (Some(pinned), false),
        Err(CliError::NoMaps { .. } | CliError::OtherLayout { .. }) => (None, false),
        Err(CliError::Pinned(PinnedError::Denied { .. })) => (None, true),
        Err(error) => return Err(error),
    };
    let mut other_layouts = cleanup::layouts(dir).unwrap_or_default();
    other_layouts.retain(|layout| *layout != dir.root());
    let existing = dir.base().ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    let interfaces = pinned.as_ref().map(Pinned::interfaces).transpose()?;
    let present = cli::devices::list()?;
    // Without the maps none of this can be told apart from what belongs to others.
    let devices =
        if denied { Vec::new() } else { devices::gather(&present, &Links::read(dir)?, interfaces.as_ref()) };
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
        devices,
        denied,
        data_plane: pinned
            .as_ref()
            .map(|pinned| data_plane(pinned, &present, &interfaces.unwrap_or_default()))
            .transpose()?,
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
        kube_proxy: kube_proxy::rules(),
    })
}

/// Major and minor number of a release such as `6.12.1-amd64`.
fn version(release: &str) -> (u8, u8) {
    let mut parts = release.split(['.', '-']).map_while(|part| part.parse().ok());
    (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
}

/// Whether the lock that an agent holds can be taken: it is let go at once.
fn agent_runs(dir: &PinDir) -> Option<bool> {
    if !dir.base().try_exists().ok()? {
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

fn data_plane(
    pinned: &Pinned,
    present: &[device::Device],
    interfaces: &BTreeMap<u32, Interface>,
) -> Result<DataPlane, CliError> {
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
    let uplinks = interfaces.iter().filter(|(_, interface)| interface.flags & INTERFACE_UPLINK != 0);
    let uplinks = uplinks.map(|(index, _)| *index).collect();
    let mut vips = vips(pinned, &services, &names)?;
    let Reach { silent, unrouted } = reach::gather(backends.values(), &mut vips, present, &uplinks)?;
    Ok(DataPlane { interfaces: interfaces.len(), frontends, maps, dsr, vips, silent, unrouted })
}

/// Addresses of frontends that are no node ports, and what the Service ports behind them have had.
fn vips(
    pinned: &Pinned,
    services: &BTreeMap<ServiceKey, Service>,
    names: &ServiceNames,
) -> Result<Vec<Vip>, CliError> {
    let mut vips = BTreeMap::<IpAddr, Vip>::new();
    for (key, service) in services {
        let r#type = FrontendType::of(service.flags);
        if !matches!(r#type, FrontendType::ExternalIP | FrontendType::LoadBalancer) {
            continue;
        }
        let address = key.address.into();
        let unseen = || Vip { address, services: BTreeSet::new(), packets: 0, place: Place::Routed };
        let vip = vips.entry(address).or_insert_with(unseen);
        let service_of = |name: &ServiceName| format!("{}/{}", name.namespace, name.name);
        vip.services.extend(names.get(&service.id).map(service_of));
        vip.packets = vip.packets.saturating_add(pinned.service_stats(service.id)?.packets);
    }
    Ok(vips.into_values().collect())
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
