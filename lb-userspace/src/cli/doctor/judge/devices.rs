//! Our programs on devices, and others' in their way.

use super::{Device, Facts, Finding, Role, Status, finding, node::TCX_KERNEL, pass};
use crate::dataplane::attach::Hook;

/// A data plane without devices, or whose devices are all somewhere else.
pub(super) fn elsewhere(facts: &Facts) -> Option<Finding> {
    is_elsewhere(facts).then(|| {
        if facts.data_plane.as_ref().is_some_and(|data_plane| data_plane.interfaces == 0) {
            return finding(
                "programs",
                Status::Fail,
                "the data plane has no device: no packet meets its programs",
                "start `sluice agent`; where it ends, or runs already, its log says why it took no device",
            );
        }
        finding(
            "programs",
            Status::Fail,
            "none of the data plane's devices is in this network namespace",
            "run this where the agent runs: on the node, or in a pod with hostNetwork",
        )
    })
}

fn is_elsewhere(facts: &Facts) -> bool {
    let is_here = |device: &Device| device.role != Role::Outside || device.is_anew;
    facts.data_plane.is_some() && !facts.devices.iter().any(is_here)
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
    if device.role == Role::Outside {
        return if is_elsewhere(facts) { Vec::new() } else { vec![outside(device, facts)] };
    }
    let tcx: &[Hook] = match device.role {
        // Filters have no links to go by.
        _ if facts.version < TCX_KERNEL => &[],
        Role::Uplink | Role::Vlan => &[Hook::Ingress, Hook::Egress],
        Role::Overlay => &[Hook::Ingress],
        Role::Parent | Role::Outside => &[],
    };
    let wanted = tcx.iter().chain(device.has_xdp.then_some(&Hook::Xdp));
    let missing: Vec<_> = wanted
        .filter(|hook| !device.links.contains_key(hook))
        .map(|hook| if *hook == Hook::Xdp { "XDP".to_owned() } else { format!("tcx {hook}") })
        .collect();
    let mut findings = vec![if missing.is_empty() {
        mode(device)
    } else {
        finding(
            "programs",
            Status::Fail,
            format!("{name} lacks our program: {}", missing.join(", ")),
            "restart the agent, and read its log where this stays",
        )
    }];
    findings.extend(foreign.map(|xdp| foreign_xdp(name, xdp.id, Status::Warn)));
    findings
}

/// A device that is not in the data plane.
fn outside(device: &Device, facts: &Facts) -> Finding {
    let name = &device.name;
    if device.is_anew {
        return finding(
            "programs",
            Status::Fail,
            format!("{name} was made anew, and our programs went with the device that had its name"),
            "start the agent: it attaches them; where one runs already, read its log",
        );
    }
    // An agent follows devices as they come and go: what it leaves alone it was told to.
    let status = if facts.agent_runs == Some(true) { Status::Note } else { Status::Warn };
    finding(
        "programs",
        status,
        format!(
            "{name} has a default route and no program of ours: packets for Services that come in by it are not \
             served"
        ),
        &format!("start the agent; where it was started with --interface, name {name} there too"),
    )
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
        (_, true, false) => pass("programs", format!("{name} is met in native XDP, and at tcx")),
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
