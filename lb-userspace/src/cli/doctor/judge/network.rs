//! Settings of the node's network that packets depend on.

use super::{Device, Facts, Finding, Role, Status, finding, pass};

/// IPv4, unless every frontend is IPv6.
pub(super) fn forwarding(facts: &Facts) -> Vec<Finding> {
    if facts.has_ipv6() && !facts.has_ipv4() {
        return Vec::new();
    }
    let off = in_data_plane(facts).filter(|device| device.forwarding == Some(false));
    let mut off: Vec<_> = off.map(|device| device_key(4, device, "forwarding")).collect();
    if facts.ip_forward == Some(false) {
        off.insert(0, "net.ipv4.ip_forward".to_owned());
    }
    not_forwarding("IPv4", off, "")
}

/// IPv6, where anything is reached over it.
pub(super) fn forwarding6(facts: &Facts) -> Vec<Finding> {
    if !facts.has_ipv6() {
        return Vec::new();
    }
    let off = in_data_plane(facts).filter(|device| device.forwarding6 == Some(false));
    let mut off: Vec<_> = off.map(|device| device_key(6, device, "forwarding")).collect();
    if facts.ip6_forward == Some(false) {
        off.insert(0, "net.ipv6.conf.all.forwarding".to_owned());
    }
    // A router takes no advertisements (net.ipv6.conf.*.accept_ra in the kernel's ip-sysctl.rst).
    not_forwarding("IPv6", off, ", and accept_ra=2 where routes come from router advertisements")
}

fn in_data_plane(facts: &Facts) -> impl Iterator<Item = &Device> {
    facts.devices.iter().filter(|device| device.role != Role::Outside)
}

fn not_forwarding(family: &str, off: Vec<String>, and: &str) -> Vec<Finding> {
    if off.is_empty() {
        return vec![pass("forwarding", format!("{family} forwarding is on"))];
    }
    off.into_iter()
        .map(|key| {
            let message = format!("{key} is 0: the kernel gives no route to endpoints on other nodes");
            finding("forwarding", Status::Fail, message, &format!("sysctl -w {key}=1{and}"))
        })
        .collect()
}

/// Strict reverse-path filtering (RFC 3704 §2.2) drops packets that come in by another device than the one that leads
/// back: replies on overlay devices, and requests to endpoints of this node where there are several uplinks.
pub(super) fn reverse_path(facts: &Facts) -> Vec<Finding> {
    let is_uplink = |device: &&Device| matches!(device.role, Role::Uplink | Role::Vlan);
    let uplinks = facts.devices.iter().filter(is_uplink).count();
    let strict = facts.devices.iter().filter(|device| device.rp_filter == Some(1));
    strict
        .filter_map(|device| {
            let lost = match device.role {
                Role::Overlay => {
                    "packets that come in by another device than they went out are lost".to_owned()
                }
                Role::Uplink | Role::Vlan if uplinks > 1 => format!(
                    "with {uplinks} uplinks, clients' packets that come in by another than the one that leads back are \
                     lost on their way to endpoints of this node"
                ),
                _ => return None,
            };
            let key = device_key(4, device, "rp_filter");
            let message = format!("{key} (or that of `all`) is 1: {lost}");
            let mend = format!("sysctl -w {key}=2 and net.ipv4.conf.all.rp_filter to 0 or 2");
            Some(finding("rp_filter", Status::Warn, message, &mend))
        })
        .collect()
}

/// A sysctl of a device; dots in its name are slashes there (sysctl(8)).
fn device_key(version: u8, device: &Device, name: &str) -> String {
    format!("net.ipv{version}.conf.{}.{name}", device.name.replace('.', "/"))
}

pub(super) fn ports(facts: &Facts) -> Finding {
    let (first, last) = (*facts.snat_ports.start(), *facts.snat_ports.end());
    let overlaps = facts.local_ports.as_ref().is_some_and(|own| *own.start() <= last && first <= *own.end());
    let reserved = facts.reserved_ports.iter().any(|range| range.contains(&first) && range.contains(&last));
    if reserved || !overlaps {
        return pass("ports", format!("the node's own connections keep off the SNAT ports {first}-{last}"));
    }
    finding(
        "ports",
        Status::Warn,
        format!(
            "the node's own connections may take SNAT ports ({first}-{last}) and lose packets to forwarded ones"
        ),
        &format!(
            "sysctl -w net.ipv4.ip_local_reserved_ports={first}-{last}, beside what is reserved already"
        ),
    )
}
