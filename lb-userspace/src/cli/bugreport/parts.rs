//! What is collected.

use std::{
    env,
    ffi::OsString,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use super::BugreportArgs;

/// A file of the archive.
pub(super) struct Part {
    pub(super) name: String,
    pub(super) source: Source,
}

/// Where a part comes from.
pub(super) enum Source {
    /// The end of a file.
    File(PathBuf),
    /// What a program prints.
    Command(OsString, Vec<OsString>),
    /// What an admin server answers.
    Admin(SocketAddr, &'static str),
    /// Many small files: name and text a line.
    Values(Vec<PathBuf>),
    /// The arguments of running programs of ours.
    Processes,
}

/// Kinds of `sluice get`.
const RESOURCES: [&str; 6] = ["services", "backends", "flows", "affinity", "drops", "interfaces"];
/// Programs that say more of the network than `/proc`, where they are installed; arguments, and the part's name.
const TOOLS: [(&str, &str, &str); 13] = [
    ("ip", "-details -statistics link show", "network/links.txt"),
    ("ip", "address show", "network/addresses.txt"),
    ("ip", "rule show", "network/rules.txt"),
    ("ip", "route show table all", "network/routes.txt"),
    ("ip", "neighbour show", "network/neighbours.txt"),
    ("ip", "-s xfrm policy count", "network/xfrm.txt"),
    ("tc", "-s qdisc show", "network/qdiscs.txt"),
    ("bpftool", "net show", "bpf/net.txt"),
    ("bpftool", "link show", "bpf/links.txt"),
    ("bpftool", "prog show", "bpf/programs.txt"),
    ("bpftool", "map show", "bpf/maps.txt"),
    ("journalctl", "--no-pager --lines=5000 --unit=sluice --unit=sluice-ingress", "logs/journal.txt"),
    ("nft", "list tables", "network/nft-tables.txt"),
];
/// Files of the kernel, which are there without any tool.
const FILES: [(&str, &str); 11] = [
    ("/proc/version", "system/kernel.txt"),
    ("/etc/os-release", "system/os-release.txt"),
    ("/proc/meminfo", "system/memory.txt"),
    ("/proc/softirqs", "system/softirqs.txt"),
    ("/proc/net/softnet_stat", "system/softnet.txt"),
    ("/proc/net/dev", "network/proc-dev.txt"),
    ("/proc/net/route", "network/proc-route.txt"),
    ("/proc/net/ipv6_route", "network/proc-ipv6-route.txt"),
    ("/proc/net/arp", "network/proc-arp.txt"),
    ("/proc/net/if_inet6", "network/proc-if-inet6.txt"),
    ("/proc/net/snmp", "network/proc-snmp.txt"),
];
/// Switches of the kernel that packets depend on; `*` is each device.
const SYSCTLS: [&str; 13] = [
    "net/ipv4/ip_forward",
    "net/ipv4/ip_local_port_range",
    "net/ipv4/ip_local_reserved_ports",
    "net/ipv4/conf/*/forwarding",
    "net/ipv4/conf/*/rp_filter",
    "net/ipv4/conf/*/accept_local",
    "net/ipv4/conf/*/arp_ignore",
    "net/ipv4/conf/*/arp_announce",
    "net/ipv6/conf/*/forwarding",
    "net/ipv6/conf/*/accept_ra",
    "net/core/bpf_jit_enable",
    "net/core/netdev_budget",
    "kernel/unprivileged_bpf_disabled",
];

/// Every part, in the order of the archive.
pub(super) fn all(bpf_dir: &Path, args: &BugreportArgs) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut add = |name: &str, source| parts.push(Part { name: name.to_owned(), source });
    // This very program: a part that fails or hangs takes nothing with it.
    let own = |words: &str| {
        let mut arguments: Vec<OsString> = words.split(' ').map(OsString::from).collect();
        arguments.extend(["--bpf-dir".into(), bpf_dir.into()]);
        Source::Command(env::current_exe().unwrap_or_else(|_| "sluice".into()).into(), arguments)
    };
    add("version.txt", own("version"));
    add("doctor.txt", own("doctor"));
    add("doctor.json", own("doctor -o json"));
    for resource in RESOURCES {
        let all = if resource == "services" { " -A" } else { "" };
        add(&format!("get/{resource}.json"), own(&format!("get {resource}{all} -o json")));
    }
    add("top.txt", own("top -A --once --interval 1"));
    add("processes.txt", Source::Processes);
    for path in ["/metrics", "/readyz", "/log-level"] {
        if let Some(address) = args.agent.admin.0 {
            add(&format!("agent{path}.txt"), Source::Admin(address, path));
        }
        if let Some(address) = args.ingress_admin {
            add(&format!("ingress{path}.txt"), Source::Admin(address, path));
        }
    }
    for (file, name) in FILES {
        add(name, Source::File(file.into()));
    }
    add("network/sysctls.txt", Source::Values(SYSCTLS.into_iter().flat_map(sysctl).collect()));
    for (tool, words, name) in TOOLS {
        add(name, Source::Command(tool.into(), words.split(' ').map(OsString::from).collect()));
    }
    for (number, file) in args.log_file.iter().cloned().chain(pod_logs()).enumerate() {
        add(&format!("logs/{number}-{}", file_name(&file)), Source::File(file));
    }
    parts
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The files behind a switch.
fn sysctl(name: &str) -> Vec<PathBuf> {
    let base = Path::new("/proc/sys");
    let Some((before, after)) = name.split_once("/*/") else {
        return vec![base.join(name)];
    };
    let devices = list(&base.join(before));
    devices.into_iter().map(|device| device.join(after)).collect()
}

/// Logs that the kubelet keeps of our pods: `/var/log/pods/<namespace>_<pod>_<uid>/<container>/<restarts>.log`.
fn pod_logs() -> Vec<PathBuf> {
    let pods = list(Path::new("/var/log/pods"));
    let ours = pods.iter().filter(|pod| file_name(pod).contains("_sluice"));
    let containers = ours.flat_map(|pod| list(pod));
    containers.flat_map(|container| list(&container)).filter(|log| file_name(log).ends_with(".log")).collect()
}

/// What is in a folder, by name; nothing where it cannot be read.
fn list(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<_> =
        fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    found.sort();
    found
}
