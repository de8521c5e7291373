//! What the oldest supported kernel lacks, and what stands in for it.

use lb_tests::{
    agent::binary,
    cluster::{Cluster, web},
    skip,
    topo::{EXTERNAL_IP, Routing},
    traffic::{IpFamily, Target, requests},
    wait,
};

const VIP: Target = Target::tcp(EXTERNAL_IP.of(IpFamily::Ipv4), 80);

#[test]
fn tc_filters_stand_in_for_tcx_through_a_restart_and_go_with_cleanup() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    let mut cluster = Cluster::web(Routing::Native, 2).unwrap();
    let filters = |cluster: &Cluster| {
        let namespace = &cluster.topology.node_a().namespace;
        ["ingress", "egress"].map(|way| namespace.run("tc", &["filter", "show", "dev", "eth0", way]).unwrap())
    };
    for (filters, program) in filters(&cluster).iter().zip(["sluice_in", "sluice_out"]) {
        assert!(filters.contains(program) && filters.contains("direct-action"), "{filters}");
    }
    cluster.agents[0].kill().unwrap();
    let served = requests(&cluster.topology.client, VIP, 50, 8);
    assert_eq!((served.failures(), served.answered.len()), (0, 4), "{served:?}");
    cluster.agents[0].start_again().unwrap();
    for filters in filters(&cluster) {
        assert_eq!(filters.matches(" handle ").count(), 1, "{filters}");
    }
    // A CNI that makes the qdisc anew takes our filters along; any news of devices has the agent look, as its patrol does.
    let namespace = &cluster.topology.node_a().namespace;
    namespace.run("tc", &["qdisc", "del", "dev", "eth0", "clsact"]).unwrap();
    namespace.ip("link add news type veth peer name other-end").unwrap();
    wait::until_true("both filters are back", || {
        filters(&cluster).iter().all(|filters| filters.matches(" handle ").count() == 1)
    })
    .unwrap();
    cluster.agents[0].terminate().unwrap();
    cluster.agents[0].sluice(&["cleanup"]).unwrap();
    for filters in filters(&cluster) {
        assert!(!filters.contains("sluice"), "{filters}");
    }
}

#[test]
fn doctor_names_the_kernel_and_what_is_used_in_place_of_tcx() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    let cluster = Cluster::start(Routing::Native, 1, |topology| vec![web(topology)]).unwrap();
    let agent = &cluster.agents[0];
    let mut doctor = cluster.topology.node_a().namespace.command(binary().unwrap()).unwrap();
    // It fails where anything else is amiss on the node.
    let output = doctor.args(["doctor", "--bpf-dir"]).arg(agent.pins().base()).output().unwrap();
    let report = String::from_utf8_lossy(&output.stdout);
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let line = format!("kernel        Linux {}: no tcx before 6.6", release.trim());
    assert!(report.contains(&line), "{report}");
}
