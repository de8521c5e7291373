//! Golden diagnoses.

mod reach;

use std::collections::BTreeMap;

use lb_common::abi::map;
use lb_model::object::IpFamily;

use super::{
    facts::{DataPlane, Device, Dsr, Facts, Frontend, Place, Role, Vip},
    judge::{Status, judge},
    kube_proxy::{Claim, Rules},
    print,
};
use crate::{
    cli::names::{FrontendType, Target},
    dataplane::{attach::Hook, device::XdpProgram, usage::Usage},
};

fn frontend(r#type: FrontendType, service: &str) -> Frontend {
    let target = Target::new(std::net::IpAddr::from([203, 0, 113, 10]).into(), 80u16.to_be(), 6);
    Frontend { target, r#type, service: service.to_owned(), local: false, empty: false }
}

fn vip(address: &str, packets: u64, place: Place) -> Vip {
    let services = ["default/web:http".to_owned()].into();
    Vip { address: address.parse().unwrap(), services, packets, place }
}

fn healthy() -> Facts {
    let uplink = Device {
        name: "eth0".to_owned(),
        links: BTreeMap::from([(Hook::Xdp, 7), (Hook::Ingress, 8), (Hook::Egress, 9)]),
        xdp: Some(XdpProgram { id: 7, generic: false }),
        forwarding: Some(true),
        forwarding6: Some(true),
        rp_filter: Some(1),
        mtu: 1500,
        ..Device::default()
    };
    let overlay = Device {
        name: "flannel.1".to_owned(),
        role: Role::Overlay,
        mtu: 1450,
        links: BTreeMap::from([(Hook::Ingress, 8)]),
        forwarding: Some(true),
        rp_filter: Some(2),
        ..Device::default()
    };
    Facts {
        release: "6.12.1".to_owned(),
        version: (6, 12),
        btf: true,
        missing_capabilities: Vec::new(),
        bpf_dir: "/sys/fs/bpf/sluice".into(),
        bpffs: true,
        other_layouts: Vec::new(),
        agent_runs: Some(true),
        denied: false,
        data_plane: Some(DataPlane {
            interfaces: 2,
            frontends: vec![frontend(FrontendType::ExternalIP, "default/web:http")],
            maps: vec![
                Usage { map: map::FLOWS, used: 10, capacity: 100, flag: Some("--max-flows") },
                Usage { map: map::PEERS, used: 79, capacity: 100, flag: Some("--max-peers") },
            ],
            vips: vec![vip("203.0.113.10", 7, Place::Routed)],
            ..DataPlane::default()
        }),
        devices: vec![uplink, overlay],
        ip_forward: Some(true),
        ip6_forward: Some(false),
        snat_ports: 49_152..=65_535,
        local_ports: Some(32_768..=60_999),
        reserved_ports: vec![49_152..=65_535],
        kube_proxy: Rules::Absent,
    }
}

fn text(facts: &Facts) -> String {
    let mut out = Vec::new();
    print(&mut out, &judge(facts)).unwrap();
    String::from_utf8(out).unwrap()
}

/// Status and message of all that is not as it should be.
fn complaints(facts: &Facts) -> String {
    let findings = judge(facts);
    let lines: Vec<_> = findings
        .iter()
        .filter(|finding| finding.status != Status::Pass)
        .map(|finding| {
            assert!(finding.mend.is_some(), "{finding:?} has no mend");
            format!("{:?} {}: {}", finding.status, finding.check, finding.message)
        })
        .collect();
    lines.join("\n")
}

#[test]
fn a_healthy_node_passes_everything() {
    insta::assert_snapshot!(text(&healthy()), @r"
    PASS  kernel        Linux 6.12.1
    PASS  btf           the kernel knows its types (/sys/kernel/btf/vmlinux)
    PASS  capabilities  this process may load and attach programs
    PASS  bpffs         /sys/fs/bpf/sluice is on a BPF filesystem
    PASS  maps          a data plane of this release's layout is pinned under /sys/fs/bpf/sluice
    PASS  agent         an agent runs
    PASS  programs      eth0 is met in native XDP, and at tcx
    PASS  programs      flannel.1 is met at tcx, as overlay devices are
    PASS  forwarding    IPv4 forwarding is on
    PASS  ports         the node's own connections keep off the SNAT ports 49152-65535
    PASS  endpoints     every Service has an endpoint
    PASS  neighbours    every next hop that was asked for has answered
    PASS  vips          packets have come for every VIP, or another host announces it
    PASS  capacity      flows: 10 of 100 entries (10 %)
    PASS  capacity      peers: 79 of 100 entries (79 %)
    15 passed, 0 noted, 0 warned, 0 failed
    ");
}

#[test]
fn a_kernel_without_tcx_is_a_warning() {
    let facts = Facts { release: "6.1.0-30-amd64".to_owned(), version: (6, 1), ..healthy() };
    assert!(text(&facts).starts_with("WARN  kernel        Linux 6.1.0-30-amd64: no tcx before 6.6"));
}

#[test]
fn a_node_that_cannot_run_sluice_fails_with_a_mend_for_each_cause() {
    let facts = Facts {
        release: "5.15.0".to_owned(),
        version: (5, 15),
        btf: false,
        missing_capabilities: vec!["CAP_BPF"],
        bpffs: false,
        agent_runs: Some(false),
        data_plane: None,
        devices: vec![Device {
            name: "eth0".to_owned(),
            xdp: Some(XdpProgram { id: 40, generic: false }),
            forwarding: Some(false),
            ..Device::default()
        }],
        ip_forward: Some(false),
        reserved_ports: Vec::new(),
        ..healthy()
    };
    insta::assert_snapshot!(text(&facts), @r"
    FAIL  kernel        Linux 5.15.0: older than 6.1, which is the oldest that the agent starts on
                        mend: run Linux 6.1 or later on this node
    WARN  btf           no /sys/kernel/btf/vmlinux: maps and programs are loaded without types, so bpftool shows bytes
                        mend: use a kernel built with CONFIG_DEBUG_INFO_BTF
    FAIL  capabilities  this process lacks CAP_BPF
                        mend: run as root, or give the container BPF, NET_ADMIN and PERFMON in securityContext.capabilities.add
    FAIL  bpffs         /sys/fs/bpf/sluice is not on a BPF filesystem: nothing can outlive the agent there
                        mend: mount -t bpf bpf /sys/fs/bpf; in a pod, mount the host's /sys/fs/bpf
    WARN  maps          nothing is pinned under /sys/fs/bpf/sluice: no agent has run here, or it was cleaned up
                        mend: start `sluice agent`, or name its directory with --bpf-dir
    WARN  agent         no agent runs
                        mend: start `sluice agent`
    FAIL  foreign       eth0 runs an XDP program of somebody else's (id 40), which Sluice leaves alone
                        mend: see `bpftool net show dev eth0`; have its owner remove it, choose other devices with --interface, or start the agent with --mode tc
    FAIL  forwarding    net.ipv4.ip_forward is 0: the kernel gives no route to endpoints on other nodes
                        mend: sysctl -w net.ipv4.ip_forward=1
    FAIL  forwarding    net.ipv4.conf.eth0.forwarding is 0: the kernel gives no route to endpoints on other nodes
                        mend: sysctl -w net.ipv4.conf.eth0.forwarding=1
    WARN  ports         the node's own connections may take SNAT ports (49152-65535) and lose packets to forwarded ones
                        mend: sysctl -w net.ipv4.ip_local_reserved_ports=49152-65535, beside what is reserved already
    0 passed, 0 noted, 4 warned, 6 failed
    ");
}

#[test]
fn modes_that_are_slow_and_programs_of_others_are_warned_of() {
    let mut facts = healthy();
    facts.devices[0].links.remove(&Hook::Xdp);
    facts.devices[0].tcx_before = vec![(Hook::Ingress, "cil_from_netdev".to_owned())];
    facts.devices[1].rp_filter = Some(1);
    let generic = Device {
        name: "eth1".to_owned(),
        xdp: Some(XdpProgram { id: 7, generic: true }),
        ..healthy().devices[0].clone()
    };
    facts.devices.push(generic);
    insta::assert_snapshot!(complaints(&facts), @r"
    Warn programs: eth0 is met at tcx alone: works, at several times the cost of native XDP
    Warn foreign: eth0 runs an XDP program of somebody else's (id 7), which Sluice leaves alone
    Warn programs: eth1 is met in generic XDP, which is slower than tcx alone
    Warn foreign: tcx program cil_from_netdev sees packets of eth0 (in) before ours does
    Warn rp_filter: net.ipv4.conf.eth0.rp_filter (or that of `all`) is 1: with 2 uplinks, clients' packets that come in by another than the one that leads back are lost on their way to endpoints of this node
    Warn rp_filter: net.ipv4.conf.flannel/1.rp_filter (or that of `all`) is 1: packets that come in by another device than they went out are lost
    Warn rp_filter: net.ipv4.conf.eth1.rp_filter (or that of `all`) is 1: with 2 uplinks, clients' packets that come in by another than the one that leads back are lost on their way to endpoints of this node
    ");
}

#[test]
fn a_lost_program_is_a_failure() {
    let mut facts = healthy();
    facts.devices[0].links.remove(&Hook::Egress);
    facts.devices[1].links.clear();
    insta::assert_snapshot!(complaints(&facts), @r"
    Fail programs: eth0 lacks our program: tcx out
    Fail programs: flannel.1 lacks our program: tcx in
    ");
}

#[test]
fn a_lost_xdp_program_is_told_apart_from_a_driver_without_xdp() {
    let mut facts = healthy();
    facts.devices[0].links.remove(&Hook::Xdp);
    facts.devices[0].xdp = None;
    facts.devices[0].has_xdp = true;
    assert_eq!(complaints(&facts), "Fail programs: eth0 lacks our program: XDP");
    facts.devices[0].has_xdp = false;
    assert!(complaints(&facts).starts_with("Warn programs: eth0 is met at tcx alone"));
}

#[test]
fn before_tcx_there_are_filters_which_no_link_tells_of() {
    let mut facts = Facts { version: (6, 1), ..healthy() };
    facts.devices[0].links = BTreeMap::from([(Hook::Xdp, 7)]);
    facts.devices[1].links.clear();
    assert!(complaints(&facts).lines().all(|line| line.starts_with("Warn kernel")));
}

#[test]
fn a_device_that_the_data_plane_lacks_is_worse_without_an_agent_that_would_take_it() {
    let mut facts = healthy();
    let outside = Device { name: "eth1".to_owned(), role: Role::Outside, ..Device::default() };
    facts.devices.push(outside);
    assert!(complaints(&facts).starts_with("Note programs: eth1 has a default route and no program of ours"));
    facts.agent_runs = Some(false);
    assert!(complaints(&facts).contains("Warn programs: eth1 has a default route"));
    facts.devices[2].is_anew = true;
    assert!(complaints(&facts).contains("Fail programs: eth1 was made anew"));
    facts.devices.drain(..2);
    assert!(complaints(&facts).contains("Fail programs: eth1 was made anew"));
    facts.devices[0].is_anew = false;
    assert!(complaints(&facts).contains("none of the data plane's devices is in this network namespace"));
    assert!(!complaints(&facts).contains("eth1"));
}

#[test]
fn maps_that_may_not_be_opened_are_no_maps_that_are_missing() {
    let facts = Facts {
        missing_capabilities: vec!["CAP_BPF"],
        denied: true,
        data_plane: None,
        devices: Vec::new(),
        ..healthy()
    };
    insta::assert_snapshot!(complaints(&facts), @r"
    Fail capabilities: this process lacks CAP_BPF
    Fail maps: this process may not open the maps under /sys/fs/bpf/sluice: what they hold is not judged
    ");
}

#[test]
fn a_data_plane_of_another_network_namespace_is_told_apart_from_a_broken_one() {
    let facts = Facts { devices: Vec::new(), ..healthy() };
    assert_eq!(
        complaints(&facts),
        "Fail programs: none of the data plane's devices is in this network namespace"
    );
}

#[test]
fn a_data_plane_whose_agent_took_no_device_is_told_apart_from_one_that_is_elsewhere() {
    let mut facts = Facts { devices: Vec::new(), ..healthy() };
    facts.data_plane.as_mut().unwrap().interfaces = 0;
    assert_eq!(
        complaints(&facts),
        "Fail programs: the data plane has no device: no packet meets its programs"
    );
}

#[test]
fn full_maps_empty_services_and_other_layouts_are_warned_of() {
    let mut facts = healthy();
    facts.other_layouts = vec!["/sys/fs/bpf/sluice/v9".into()];
    facts.agent_runs = Some(false);
    let data_plane = facts.data_plane.as_mut().unwrap();
    data_plane.maps[0].used = 95;
    data_plane.maps[1].used = 80;
    for number in 0..7 {
        let empty = frontend(FrontendType::LoadBalancer, &format!("default/app-{number}"));
        data_plane.frontends.push(Frontend { empty: true, ..empty });
    }
    let here = frontend(FrontendType::LoadBalancer, "default/elsewhere");
    data_plane.frontends.push(Frontend { empty: true, local: true, ..here });
    insta::assert_snapshot!(complaints(&facts), @r"
    Warn maps: another release's layout is pinned too: /sys/fs/bpf/sluice/v9
    Warn agent: no agent runs: packets go on as the maps say, but changes in the cluster are not followed
    Warn endpoints: 7 Services without an endpoint: default/app-0, default/app-1, default/app-2, default/app-3, default/app-4 and 2 more
    Warn capacity: flows: 95 of 100 entries (95 %); once it is full, the least recently used make room
    Warn capacity: peers: 80 of 100 entries (80 %)
    ");
}

#[test]
fn kube_proxy_beside_us_is_worth_a_note() {
    let vip =
        Claim { family: IpFamily::Ipv4, address: Some([203, 0, 113, 10].into()), port: 80, protocol: 6 };
    let node_port = Claim { family: IpFamily::Ipv4, address: None, port: 80, protocol: 6 };
    let mut facts = Facts { kube_proxy: Rules::Claims([vip].into()), ..healthy() };
    assert!(text(&facts).contains(
        "NOTE  kube-proxy    kube-proxy has rules for 1 of our frontends too (203.0.113.10:80/TCP)"
    ));
    facts.kube_proxy = Rules::Claims([node_port].into());
    assert!(text(&facts).contains("none for our frontends"));
    assert_eq!(complaints(&facts), "");
    facts.data_plane.as_mut().unwrap().frontends[0].r#type = FrontendType::NodePort;
    assert!(text(&facts).contains("for 1 of our frontends too"));
}

#[test]
fn strict_reverse_path_filtering_is_no_fault_with_one_uplink() {
    let mut facts = healthy();
    assert_eq!(facts.devices[0].rp_filter, Some(1));
    assert_eq!(complaints(&facts), "");
    facts.devices.push(Device { name: "eth1".to_owned(), rp_filter: Some(2), ..facts.devices[0].clone() });
    assert!(complaints(&facts).starts_with("Warn rp_filter: net.ipv4.conf.eth0.rp_filter"));
}

#[test]
fn ipv6_forwarding_matters_once_there_are_ipv6_frontends_and_ipv4_forwarding_while_there_are_ipv4_ones() {
    let mut facts = Facts { ip_forward: Some(false), ..healthy() };
    facts.devices[1].forwarding6 = Some(false);
    let frontends = &mut facts.data_plane.as_mut().unwrap().frontends;
    let vip = "2001:db8::10".parse::<std::net::IpAddr>().unwrap();
    frontends[0].target = Target::new(vip.into(), 80u16.to_be(), 6);
    insta::assert_snapshot!(complaints(&facts), @r"
    Fail forwarding: net.ipv6.conf.all.forwarding is 0: the kernel gives no route to endpoints on other nodes
    Fail forwarding: net.ipv6.conf.flannel/1.forwarding is 0: the kernel gives no route to endpoints on other nodes
    ");
    facts.ip6_forward = Some(true);
    facts.devices[1].forwarding6 = Some(true);
    assert!(text(&facts).contains("IPv6 forwarding is on") && !text(&facts).contains("IPv4 forwarding"));
}

#[test]
fn direct_server_return_needs_peers_and_room_for_its_header() {
    let mut facts = healthy();
    let dsr = |peers, overhead| Dsr { services: 2, peers, overhead };
    facts.data_plane.as_mut().unwrap().dsr = dsr(0, 40);
    insta::assert_snapshot!(complaints(&facts), @r"
    Warn dsr: 2 Service ports are forwarded with direct server return, but no other node is known: what they send here encapsulated is dropped
    Warn dsr: 2 Service ports are forwarded with direct server return, and eth0 has an MTU of 1500: clients' packets of more than 1460 bytes are answered with an ICMP error that asks for smaller ones, and clients that filter it hang
    ");
    facts.data_plane.as_mut().unwrap().dsr = dsr(3, 40);
    facts.devices[0].mtu = 1540;
    assert_eq!(complaints(&facts), "");
    assert!(text(&facts).contains("direct server return; 3 addresses of other nodes may send here"));
    // All endpoints are here: nothing is encapsulated.
    facts.data_plane.as_mut().unwrap().dsr = dsr(0, 0);
    facts.devices[0].mtu = 1500;
    assert_eq!(complaints(&facts), "");
}

#[test]
fn a_vlan_uplink_is_met_at_tcx_and_its_parent_in_xdp() {
    let mut facts = healthy();
    let uplink = facts.devices.remove(0);
    let vlan = Device {
        name: "eth0.100".to_owned(),
        role: Role::Vlan,
        links: BTreeMap::from([(Hook::Ingress, 8), (Hook::Egress, 9)]),
        xdp: None,
        ..uplink.clone()
    };
    let parent = Device { role: Role::Parent, links: BTreeMap::from([(Hook::Xdp, 7)]), ..uplink };
    facts.devices.splice(0..0, [parent, vlan]);
    assert_eq!(complaints(&facts), "");
    assert!(text(&facts).contains("eth0 is met in native XDP on behalf of its VLANs"));
}
