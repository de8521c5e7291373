//! The node itself, and what an agent has left on it.

use super::{Facts, Finding, Status, finding, pass};

/// The oldest kernel that the agent starts on.
const OLDEST_KERNEL: (u8, u8) = (6, 1);
/// The kernel that tcx came with (commit e420bed02507, "bpf: Add fd-based tcx multi-prog infra").
pub(super) const TCX_KERNEL: (u8, u8) = (6, 6);

pub(super) fn kernel(facts: &Facts) -> Finding {
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

pub(super) fn btf(facts: &Facts) -> Finding {
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

pub(super) fn capabilities(facts: &Facts) -> Finding {
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

pub(super) fn bpffs(facts: &Facts) -> Finding {
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

pub(super) fn pins(facts: &Facts) -> Finding {
    let dir = facts.bpf_dir.display();
    if facts.denied {
        return finding(
            "maps",
            Status::Fail,
            format!("this process may not open the maps under {dir}: what they hold is not judged"),
            "run as root, or with CAP_BPF and with the right to read that directory",
        );
    }
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

pub(super) fn agent(facts: &Facts) -> Finding {
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
