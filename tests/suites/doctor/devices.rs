//! Devices: those without our programs, and settings of theirs.

use std::fs;

use lb_tests::{cluster::Cluster, skip, topo::Routing};
use lb_userspace::dataplane::attach::{Hook, link_name};

use crate::diagnosis::diagnose;

#[test]
fn faults_of_devices_are_named() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    let mut cluster = Cluster::web(Routing::Vxlan, 1).unwrap();
    strict_reverse_path_filtering(&cluster);
    devices_without_programs(&mut cluster);
}

fn strict_reverse_path_filtering(cluster: &Cluster) {
    let node = &cluster.topology.node_a().namespace;
    let key = "net.ipv4.conf.flannel/1.rp_filter";
    let mend = format!("sysctl -w {key}=2 and net.ipv4.conf.all.rp_filter to 0 or 2");
    diagnose(cluster).names("WARN", "rp_filter", &format!("{key} (or that of `all`) is 1"), &mend);
    node.sysctl("ipv4/conf/flannel.1/rp_filter", "2").unwrap();
    node.sysctl("ipv4/conf/all/rp_filter", "0").unwrap();
    diagnose(cluster).says_nothing_of("rp_filter", key);
}

fn devices_without_programs(cluster: &mut Cluster) {
    cluster.agents[0].kill().unwrap();
    let node = &cluster.topology.node_a().namespace;
    let links = cluster.agents[0].pins().links();
    for hook in [Hook::Xdp, Hook::Egress] {
        fs::remove_file(links.join(link_name("eth0", hook))).unwrap();
    }
    // As the CNI's agent does where its settings changed.
    node.ip("link del flannel.1\n\
             link add flannel.1 type vxlan id 1 dev eth0 local 192.0.2.11 dstport 8472 nolearning\n\
             link set flannel.1 up\n\
             link add eth7 type veth peer name eth8\n\
             link set eth7 up\n\
             link set eth8 up\n\
             route add default dev eth7 metric 500")
        .unwrap();
    let diagnosis = diagnose(cluster);
    diagnosis.names("WARN", "agent", "no agent runs", "start `sluice agent`");
    diagnosis.names("FAIL", "programs", "eth0 lacks our program: tcx out, XDP", "restart the agent");
    diagnosis.names("FAIL", "programs", "flannel.1 was made anew", "start the agent: it attaches them");
    diagnosis.names("WARN", "programs", "eth7 has a default route and no program of ours", "--interface");
    cluster.agents[0].start_again().unwrap();
    let mended = diagnose(cluster);
    mended.passes("agent");
    mended.passes("programs");
    for device in ["eth0", "eth7", "flannel.1"] {
        assert!(mended.speaks_of("programs", &format!("{device} is met")), "{mended:#?}");
    }
}
