//! Facts to findings.

use std::net::IpAddr;

use lb_common::abi::map;
use serde::Serialize;

use super::{
    facts::{DataPlane, Device, Facts, Frontend},
    kube_proxy::Claim,
};
use crate::{
    cli::names::FrontendType,
    dataplane::{attach::Hook, usage::Usage},
};

/// The oldest kernel that the agent starts on.
const OLDEST_KERNEL: (u8, u8) = (6, 1);
/// The kernel that tcx came with (commit e420bed02507, "bpf: Add fd-based tcx multi-prog infra").
const TCX_KERNEL: (u8, u8) = (6, 6);
/// A map fuller than this is worth a warning.
const NEARLY_FULL_PERCENT: u64 = 80;
/// Maps that never refuse an entry.
const LRU: [&str; 4] = [map::FLOWS, map::FLOWS6, map::AFFINITY, map::FRAGMENTS];
/// Names listed in one message.
const LISTED: usize = 5;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Status {
    /// As it should be.
    Pass,
    /// Works, but not as well as it could, or will stop working.
    Warn,
    /// Does not work.
    Fail,
}

/// One thing found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// What was looked at, in one word.
    pub(crate) check: &'static str,
    /// How it is.
    pub(crate) status: Status,
    /// What was found.
    pub(crate) message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mend: Option<String>,
}

fn finding(check: &'static str, status: Status, message: impl Into<String>, mend: &str) -> Finding {
    let mend = (!mend.is_empty()).then(|| mend.to_owned());
    Finding { check, status, message: message.into(), mend }
}

fn pass(check: &'static str, message: impl Into<String>) -> Finding {
    finding(check, Status::Pass, message, "")
}

/// Judges everything, in the order in which a user should mend it.
pub(crate) fn judge(facts: &Facts) -> Vec<Finding> {
    let mut findings =
        vec![kernel(facts), btf(facts), capabilities(facts), bpffs(facts), pins(facts), agent(facts)];
    findings.extend(elsewhere(facts));
    findings.extend(facts.devices.iter().flat_map(|device| programs(device, facts.data_plane.is_some())));
    findings.extend(facts.devices.iter().flat_map(tcx_order));
    findings.extend(forwarding(facts));
    findings.extend(facts.devices.iter().filter_map(reverse_path));
    findings.push(ports(facts));
    if let Some(data_plane) = &facts.data_plane {
        findings.extend(kube_proxy(facts, data_plane));
        findings.push(endpoints(data_plane));
        findings.extend(data_plane.maps.iter().map(capacity));
    }
    findings
}

fn kernel(facts: &Facts) -> Finding {
    let message = format!("Linux {}", facts.release);
    if facts.version < OLDEST_KERNEL {
        let message = format!("{message}: older than 6.1, which is the oldest that the agent starts on");
        return finding("kernel", Status::Fail, message, "run Linux 6.1 or later on this node");
    }
    if facts.version < TCX_KERNEL {
        let message = format!(
            "{message}: no tcx before 6.6, so tc filters are used, which other products may displace"
        );
        return finding(
            "kernel",
            Status::Warn,
            message,
            "run Linux 6.6 or later where other products use tc",
        );
    }
    pass("kernel", message)
}

fn btf(facts: &Facts) -> Finding {
    if facts.btf {
        return pass("btf", "the kernel knows its types (/sys/kernel/btf/vmlinux)");
    }
    finding(
        "btf",
        Status::Warn,
        "no /sys/kernel/btf/vmlinux: maps and programs are loaded without types, so bpftool shows bytes",
        "use a kernel built with CONFIG_DEBUG_INFO_BTF",
    )
}

fn capabilities(facts: &Facts) -> Finding {
    if facts.missing_capabilities.is_empty() {
        return pass("capabilities", "this process may load and attach programs");
    }
    finding(
        "capabilities",
        Status::Fail,
        format!("this process lacks {}", facts.missing_capabilities.join(", ")),
        "run as root, or give the container BPF, NET_ADMIN and PERFMON in securityContext.capabilities.add",
    )
}

fn bpffs(facts: &Facts) -> Finding {
    let dir = facts.bpf_dir.display();
    if facts.bpffs {
        return pass("bpffs", format!("{dir} is on a BPF filesystem"));
    }
    finding(
        "bpffs",
        Status::Fail,
        format!("{dir} is not on a BPF filesystem: nothing can outlive the agent there"),
        "mount -t bpf bpf /sys/fs/bpf; in a pod, mount the host's /sys/fs/bpf",
    )
}

fn pins(facts: &Facts) -> Finding {
    let dir = facts.bpf_dir.display();
    let others: Vec<_> = facts.other_layouts.iter().map(|path| path.display().to_string()).collect();
    match (&facts.data_plane, others.is_empty()) {
        (Some(_), true) => {
            pass("maps", format!("a data plane of this release's layout is pinned under {dir}"))
        }
        (Some(_), false) => finding(
            "maps",
            Status::Warn,
            format!("another release's layout is pinned too: {}", others.join(", ")),
            "start this release's agent: it removes what other layouts left",
        ),
        (None, true) => finding(
            "maps",
            Status::Warn,
            format!("nothing is pinned under {dir}: no agent has run here, or it was cleaned up"),
            "start `sluice agent`, or name its directory with --bpf-dir",
        ),
        (None, false) => finding(
            "maps",
            Status::Warn,
            format!("only another release's layout is pinned: {}", others.join(", ")),
            "use that release's `sluice`, or start this release's agent",
        ),
    }
}

fn agent(facts: &Facts) -> Finding {
    match (facts.agent_runs, facts.data_plane.is_some()) {
        (Some(true), _) => pass("agent", "an agent runs"),
        (Some(false), true) => finding(
            "agent",
            Status::Warn,
            "no agent runs: packets go on as the maps say, but changes in the cluster are not followed",
            "start `sluice agent`",
        ),
        (Some(false), false) => finding("agent", Status::Warn, "no agent runs", "start `sluice agent`"),
        (None, _) => finding(
            "agent",
            Status::Warn,
            format!("whether an agent runs cannot be told: {} cannot be opened", facts.bpf_dir.display()),
            "run as root, or name the agent's directory with --bpf-dir",
        ),
    }
}

/// A data plane whose devices are all somewhere else.
fn elsewhere(facts: &Facts) -> Option<Finding> {
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
fn programs(device: &Device, attached: bool) -> Vec<Finding> {
    let name = &device.name;
    let ours = device.links.get(&Hook::Xdp);
    let foreign = device.xdp.filter(|xdp| ours != Some(&xdp.id));
    if !attached {
        return match foreign {
            Some(xdp) if !device.overlay => vec![foreign_xdp(name, xdp.id, Status::Fail)],
            _ => Vec::new(),
        };
    }
    let wanted: &[Hook] = if device.overlay { &[Hook::Ingress] } else { &[Hook::Ingress, Hook::Egress] };
    let missing: Vec<_> =
        wanted.iter().filter(|hook| !device.links.contains_key(hook)).map(ToString::to_string).collect();
    let mut findings = Vec::new();
    if !missing.is_empty() {
        findings.push(finding(
            "programs",
            Status::Fail,
            format!("{name} lacks our tcx program: {}", missing.join(", ")),
            "restart the agent, and read its log where this stays",
        ));
    } else if device.overlay {
        findings.push(pass("programs", format!("{name} is met at tcx, as overlay devices are")));
    } else {
        findings.push(mode(device));
    }
    findings.extend(foreign.map(|xdp| foreign_xdp(name, xdp.id, Status::Warn)));
    findings
}

/// Where an uplink's packets are met.
fn mode(device: &Device) -> Finding {
    let name = &device.name;
    let generic = device.xdp.is_some_and(|xdp| xdp.generic);
    match (device.links.contains_key(&Hook::Xdp), generic) {
        (true, false) => pass("programs", format!("{name} is met in native XDP, and at tcx")),
        (true, true) => finding(
            "programs",
            Status::Warn,
            format!("{name} is met in generic XDP, which is slower than tcx alone"),
            "start the agent with --mode auto; generic is for tests",
        ),
        (false, _) => finding(
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

fn tcx_order(device: &Device) -> Vec<Finding> {
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

fn forwarding(facts: &Facts) -> Vec<Finding> {
    let mut off: Vec<_> = facts
        .devices
        .iter()
        .filter(|device| device.forwarding == Some(false))
        .map(|device| format!("net.ipv4.conf.{}.forwarding", device.name.replace('.', "/")))
        .collect();
    if facts.ip_forward == Some(false) {
        off.insert(0, "net.ipv4.ip_forward".to_owned());
    }
    if off.is_empty() {
        return vec![pass("forwarding", "IPv4 forwarding is on")];
    }
    off.into_iter()
        .map(|key| {
            let message = format!("{key} is 0: the kernel gives no route to endpoints on other nodes");
            finding("forwarding", Status::Fail, message, &format!("sysctl -w {key}=1"))
        })
        .collect()
}

/// Strict reverse-path filtering (RFC 3704 §2.2) on an overlay device drops replies that come in by another device than
/// the one that leads back.
fn reverse_path(device: &Device) -> Option<Finding> {
    (device.overlay && device.rp_filter == Some(1)).then(|| {
        let key = format!("net.ipv4.conf.{}.rp_filter", device.name.replace('.', "/"));
        finding(
            "rp_filter",
            Status::Warn,
            format!("{key} (or that of `all`) is 1: packets that come in by another device than they went out are lost"),
            &format!("sysctl -w {key}=2 and net.ipv4.conf.all.rp_filter to 0 or 2"),
        )
    })
}

fn ports(facts: &Facts) -> Finding {
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

fn kube_proxy(facts: &Facts, data_plane: &DataPlane) -> Option<Finding> {
    let claims = facts.kube_proxy.as_ref()?;
    let claimed: Vec<_> =
        data_plane.frontends.iter().filter(|frontend| claims.contains(&claim(frontend))).collect();
    let message = if claimed.is_empty() {
        "kube-proxy has rules here, none for our frontends".to_owned()
    } else {
        let names = claimed.iter().map(|frontend| frontend.target.to_string());
        format!(
            "kube-proxy has rules for {} of our frontends too ({}): ours see packets from outside first",
            claimed.len(),
            list(names.collect())
        )
    };
    Some(pass("kube-proxy", message))
}

fn claim(frontend: &Frontend) -> Claim {
    let address = match frontend.target.socket.ip() {
        IpAddr::V4(address) if frontend.r#type != FrontendType::NodePort => Some(address),
        _ => None,
    };
    Claim { address, port: frontend.target.socket.port(), protocol: frontend.target.protocol }
}

fn endpoints(data_plane: &DataPlane) -> Finding {
    // externalTrafficPolicy Local without an endpoint here is how load balancers learn to go elsewhere.
    let empty = data_plane.frontends.iter().filter(|frontend| frontend.empty && !frontend.local);
    let mut names: Vec<_> = empty.map(|frontend| frontend.service.clone()).collect();
    names.sort();
    names.dedup();
    if names.is_empty() {
        return pass("endpoints", "every Service has an endpoint");
    }
    finding(
        "endpoints",
        Status::Warn,
        format!("{} Services without an endpoint: {}", names.len(), list(names)),
        "kubectl get endpointslices -A, and look at the pods' readiness",
    )
}

fn capacity(usage: &Usage) -> Finding {
    let Usage { map, used, capacity, flag } = usage;
    let message = format!("{map}: {used} of {capacity} entries ({} %)", usage.percent());
    if usage.percent() < NEARLY_FULL_PERCENT {
        return pass("capacity", message);
    }
    let message = if LRU.contains(map) {
        message + "; once it is full, the least recently used make room"
    } else {
        message
    };
    let mend = match flag {
        Some(flag) => {
            format!(
                "start the agent with a larger {flag}, after `sluice cleanup` (which ends live connections)"
            )
        }
        None => "this size is fixed; please report how you came to need more".to_owned(),
    };
    finding("capacity", Status::Warn, message, &mend)
}

/// The first names, and how many more.
fn list(names: Vec<String>) -> String {
    let more = names.len().saturating_sub(LISTED);
    let listed = names.into_iter().take(LISTED).collect::<Vec<_>>().join(", ");
    if more > 0 { format!("{listed} and {more} more") } else { listed }
}
