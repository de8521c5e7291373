//! Our programs on devices, and others' in their way.

use super::{Device, Facts, Finding, Role, Status, finding, pass};
use crate::dataplane::attach::Hook;

/// A data plane whose devices are all somewhere else.
pub(super) fn elsewhere(facts: &Facts) -> Option<Finding> {
    (facts.data_plane.is_some() && facts.devices.is_empty()).then(|| {
        finding(
            "programs",
            Status::Fail,
            "none of the data plane's devices is in this network namespace",
            "run this where the agent runs: on the node, or in a pod with hostNetwork",
        )
    })
}

/// Our programs on a device, and others' in their way.
pub(super) fn programs(device: &Device, facts: &Facts) -> Vec<Finding> {
    let name = &device.name;
    let ours = device.links.get(&Hook::Xdp);
    let foreign = device.xdp.filter(|xdp| ours != Some(&xdp.id));
    if facts.data_plane.is_none() {
        return match foreign {
            Some(xdp) if device.role != Role::Overlay => vec![foreign_xdp(name, xdp.id, Status::Fail)],
            _ => Vec::new(),
        };
    }
    let wanted: &[Hook] = match device.role {
        Role::Uplink | Role::Vlan => &[Hook::Ingress, Hook::Egress],
        Role::Parent => &[],
        Role::Overlay => &[Hook::Ingress],
    };
    let missing: Vec<_> =
        wanted.iter().filter(|hook| !device.links.contains_key(hook)).map(ToString::to_string).collect();
    let mut findings = vec![if missing.is_empty() {
        mode(device)
    } else {
        finding(
            "programs",
            Status::Fail,
            format!("{name} lacks our tcx program: {}", missing.join(", ")),
            "restart the agent, and read its log where this stays",
        )
    }];
    findings.extend(foreign.map(|xdp| foreign_xdp(name, xdp.id, Status::Warn)));
    findings
}

/// Where a device's packets are met.
fn mode(device: &Device) -> Finding {
    let name = &device.name;
    let generic = device.xdp.is_some_and(|xdp| xdp.generic);
    match (device.role, device.links.contains_key(&Hook::Xdp), generic) {
        (Role::Overlay, ..) => pass("programs", format!("{name} is met at tcx, as overlay devices are")),
        (Role::Vlan, ..) => {
            pass("programs", format!("{name} is met at tcx, and in XDP below it where its parent is"))
        }
        (Role::Parent, true, false) => {
            pass("programs", format!("{name} is met in native XDP on behalf of its VLANs"))
        }
        (Role::Uplink, true, false) => pass("programs", format!("{name} is met in native XDP, and at tcx")),
        (_, true, true) => finding(
            "programs",
            Status::Warn,
            format!("{name} is met in generic XDP, which is slower than tcx alone"),
            "start the agent with --mode auto; generic is for tests",
        ),
        (_, false, _) => finding(
            "programs",
            Status::Warn,
            format!("{name} is met at tcx alone: works, at several times the cost of native XDP"),
            "use a driver with native XDP (ethtool -i shows the driver), and not --mode tc",
        ),
    }
}

fn foreign_xdp(name: &str, id: u32, status: Status) -> Finding {
    finding(
        "foreign",
        status,
        format!("{name} runs an XDP program of somebody else's (id {id}), which Sluice leaves alone"),
        &format!(
            "see `bpftool net show dev {name}`; have its owner remove it, choose other devices with --interface, or \
             start the agent with --mode tc"
        ),
    )
}

pub(super) fn tcx_order(device: &Device) -> Vec<Finding> {
    let name = &device.name;
    device
        .tcx_before
        .iter()
        .map(|(hook, program)| {
            finding(
                "foreign",
                Status::Warn,
                format!("tcx program {program} sees packets of {name} ({hook}) before ours does"),
                "where it drops or redirects service traffic, restart the agent: ours goes to the front",
            )
        })
        .collect()
}
