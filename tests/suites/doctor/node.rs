//! The node itself: its kernel, the rights of the process, settings, and other software.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
};

use lb_common::abi::map;
use lb_tests::{
    cluster::{Cluster, NODE_PORT},
    skip,
    topo::Routing,
};

use crate::diagnosis::{diagnose, diagnose_by, diagnose_in};

const NEEDS: [skip::Need; 3] =
    [skip::Need::Tool("nft"), skip::Need::Tool("setarch"), skip::Need::Tool("setpriv")];

#[test]
fn faults_of_the_node_itself_are_named() {
    if !skip::need(&[skip::NETWORK, &NEEDS].concat()) {
        return;
    }
    let cluster = Cluster::web(Routing::Native, 1).unwrap();
    a_sound_node_passes(&cluster);
    an_old_kernel(&cluster);
    missing_capabilities(&cluster);
    a_directory_that_is_on_no_bpf_filesystem(&cluster);
    forwarding_that_is_off(&cluster);
    ports_that_the_node_may_take_itself(&cluster);
    kube_proxy_with_the_same_addresses(&cluster);
}

fn a_sound_node_passes(cluster: &Cluster) {
    let diagnosis = diagnose(cluster);
    for check in [
        "kernel",
        "capabilities",
        "bpffs",
        "maps",
        "agent",
        "programs",
        "forwarding",
        "endpoints",
        "capacity",
    ] {
        diagnosis.passes(check);
    }
}

/// A personality has the kernel tell programs that it is a 2.6 (setarch(8)).
fn an_old_kernel(cluster: &Cluster) {
    let old = ["setarch", std::env::consts::ARCH, "--uname-2.6"];
    let diagnosis = diagnose_by(&old, &cluster.agents[0], cluster.topology.node_a());
    diagnosis.names("FAIL", "kernel", "Linux 2.6.", "run Linux 6.1 or later");
}

fn missing_capabilities(cluster: &Cluster) {
    let with = |capabilities: &str| {
        let bounding = format!("--bounding-set=-all{capabilities}");
        let before = ["setpriv", "--inh-caps=-all", &bounding];
        diagnose_by(&before, &cluster.agents[0], cluster.topology.node_a())
    };
    let mend = "BPF, NET_ADMIN and PERFMON in securityContext.capabilities.add";
    let none = with("");
    none.names("FAIL", "capabilities", "this process lacks CAP_NET_ADMIN, CAP_PERFMON, CAP_BPF", mend);
    // Without CAP_DAC_OVERRIDE even root reads only what it may.
    let pin = cluster.agents[0].pins().map(map::SERVICES);
    let permissions = fs::metadata(&pin).unwrap().permissions();
    fs::set_permissions(&pin, Permissions::from_mode(0o000)).unwrap();
    let denied = with("");
    fs::set_permissions(&pin, permissions).unwrap();
    denied.names(
        "FAIL",
        "maps",
        "this process may not open the maps",
        "with CAP_BPF and with the right to read",
    );
    // Nor does it take our program, which it cannot tell, for somebody else's.
    denied.says_nothing_of("foreign", "eth0");
    with(",+bpf,+perfmon").names("FAIL", "capabilities", "this process lacks CAP_NET_ADMIN", mend);
    let mended = with(",+bpf,+perfmon,+net_admin");
    mended.passes("capabilities");
    mended.passes("programs");
}

fn a_directory_that_is_on_no_bpf_filesystem(cluster: &Cluster) {
    let directory = tempfile::tempdir().unwrap();
    let wrong = diagnose_in(&[], directory.path(), cluster.topology.node_a());
    let message = format!("{} is not on a BPF filesystem", directory.path().display());
    wrong.names("FAIL", "bpffs", &message, "mount -t bpf bpf /sys/fs/bpf");
    // A directory yet to be made, where the mend says.
    let right = diagnose_in(&[], "/sys/fs/bpf/sluice-test-none".as_ref(), cluster.topology.node_a());
    right.passes("bpffs");
    right.names("WARN", "maps", "nothing is pinned under /sys/fs/bpf/sluice-test-none", "--bpf-dir");
}

fn forwarding_that_is_off(cluster: &Cluster) {
    let node = &cluster.topology.node_a().namespace;
    for (path, key) in [
        ("ipv4/ip_forward", "net.ipv4.ip_forward"),
        ("ipv4/conf/eth0/forwarding", "net.ipv4.conf.eth0.forwarding"),
        ("ipv6/conf/all/forwarding", "net.ipv6.conf.all.forwarding"),
    ] {
        node.sysctl(path, "0").unwrap();
        let mend = format!("sysctl -w {key}=1");
        diagnose(cluster).names("FAIL", "forwarding", &format!("{key} is 0"), &mend);
        node.sysctl(path, "1").unwrap();
    }
    diagnose(cluster).passes("forwarding");
}

fn ports_that_the_node_may_take_itself(cluster: &Cluster) {
    let node = &cluster.topology.node_a().namespace;
    // The agent has reserved them; somebody else's configuration has the last word.
    node.sysctl("ipv4/ip_local_reserved_ports", "8080").unwrap();
    let message = "the node's own connections may take SNAT ports (49152-65535)";
    let mend = "sysctl -w net.ipv4.ip_local_reserved_ports=49152-65535";
    diagnose(cluster).names("WARN", "ports", message, mend);
    node.sysctl("ipv4/ip_local_reserved_ports", "8080,49152-65535").unwrap();
    diagnose(cluster).passes("ports");
}

/// The maps that kube-proxy's nftables mode looks frontends up in.
fn kube_proxy_with_the_same_addresses(cluster: &Cluster) {
    let node = &cluster.topology.node_a().namespace;
    let rules = format!(
        "table ip kube-proxy {{
            chain external-web {{ }}
            map service-ips {{
                type ipv4_addr . inet_proto . inet_service : verdict
                elements = {{ 203.0.113.10 . tcp . 80 comment \"default/web\" : goto external-web }}
            }}
            map service-nodeports {{
                type inet_proto . inet_service : verdict
                elements = {{ tcp . {NODE_PORT} : goto external-web }}
            }}
        }}"
    );
    node.run_with_input("nft", &["-f", "-"], &rules).unwrap();
    let message =
        "kube-proxy has rules for 2 of our frontends too (203.0.113.10:80/TCP, 192.0.2.11:30080/TCP)";
    diagnose(cluster).names("NOTE", "kube-proxy", message, "--ipvs-strict-arp");
    let blind = diagnose_by(&["env", "PATH="], &cluster.agents[0], cluster.topology.node_a());
    blind.names("NOTE", "kube-proxy", "neither nft nor iptables-save is here", "on the node itself");
    node.run("nft", &["delete", "table", "ip", "kube-proxy"]).unwrap();
    diagnose(cluster).says_nothing_of("kube-proxy", "frontends");
}
