//! The real agent as an operator meets it: what it attaches, what it leaves behind, what it refuses and how it says so.
#![allow(clippy::unwrap_used, reason = "a failed assumption is a failed test")]

mod dual_stack;
mod events;
mod health_check;
mod log_level;
mod look_inside;
mod metrics;
mod node;
mod policy;
mod refusals;
mod usage;

use std::fs;

use aya::programs::TcAttachType;
use lb_common::{abi::program, interface::INTERFACE_OVERLAY};
use lb_tests::{agent::binary, skip, wait, xdp_pass};
use lb_userspace::dataplane::{
    attach::{Hook, clsact},
    cleanup::{CleanupError, Removed},
    loader::{self, Settings},
    pin::PinDir,
    pinned::Pinned,
};
use nix::sys::signal::Signal;

use self::node::Node;

#[test]
fn a_ready_agent_has_programs_maps_and_metrics_and_sigterm_leaves_them_at_work() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    let node = Node::new();
    let mut agent = node.start(&[]);
    let links = node.links();
    assert_eq!(node.admin("/healthz").unwrap().0, 200);
    assert_eq!(node.admin("/nothing").unwrap().0, 404);
    let metrics = wait::until("maps are counted", || {
        let (_, metrics) = node.admin("/metrics")?;
        metrics.contains("{map=\"fragments\"}").then_some(metrics)
    })
    .unwrap();
    for line in [
        "sluice_interface_mode{interface=\"eth0\",mode=\"native\"} 1",
        "sluice_map_capacity{map=\"flows\"} 4096",
        "sluice_map_entries{map=\"backends\"} 1",
        "sluice_map_capacity{map=\"source_ranges\"} 128",
        "sluice_map_capacity{map=\"refusals\"} 1024",
        "sluice_map_entries{map=\"flows6\"} 0",
        "sluice_map_entries{map=\"affinity\"} 0",
        "sluice_map_entries{map=\"fragments\"} 0",
        "sluice_map_entries{map=\"peers\"} ",
        "sluice_drops_total{reason=\"no-endpoint\"} 0",
        "sluice_events_total{event=\"port-claimed\"} 0",
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
    assert_eq!(agent.end(Signal::SIGTERM).code(), Some(0));
    assert_eq!(node.links(), links);
    assert!(node.uplink().contains("name sluice_xdp"), "{}", node.uplink());
    assert_eq!(Pinned::open(&node.pins).unwrap().services().unwrap().len(), 1);
}

#[test]
fn a_restart_after_sigkill_replaces_programs_in_the_same_links_and_writes_nothing_new() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    let node = Node::new();
    let mut agent = node.start(&[]);
    let before = node.links();
    let epoch = Pinned::open(&node.pins).unwrap().epoch().unwrap();
    let services = Pinned::open(&node.pins).unwrap().services().unwrap();
    agent.end(Signal::SIGKILL);
    let _agent = node.start(&[]);
    for (new, old) in node.links().iter().zip(before) {
        assert_eq!((new.id, new.ifindex), (old.id, old.ifindex));
        assert_ne!(new.program, old.program);
    }
    let maps = Pinned::open(&node.pins).unwrap();
    assert_eq!(maps.services().unwrap(), services);
    assert!(maps.epoch().unwrap() >= epoch);
}

#[test]
fn the_mode_can_be_changed_by_a_restart() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    let node = Node::new();
    for (mode, shown) in [("native", " xdp "), ("generic", " xdpgeneric "), ("auto", " xdp "), ("tc", " ")] {
        let _agent = node.start(&["--mode", mode]);
        assert!(node.uplink().contains(shown), "{mode}: {}", node.uplink());
        assert_eq!(node.link(Hook::Xdp).is_some(), mode != "tc");
        assert!(node.link(Hook::Ingress).is_some() && node.link(Hook::Egress).is_some());
    }
}

#[test]
fn next_hops_of_remote_endpoints_are_kept_warm() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    let node = Node::new();
    let _agent = node.start(&[]);
    wait::until_true("the endpoint's next hop is managed", || {
        node.neighbours().lines().any(|line| line.starts_with("192.0.2.2 ") && line.contains("managed"))
    })
    .unwrap();
}

#[test]
fn permanent_neighbours_stay_permanent() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    let node = Node::new();
    node.namespace.ip("neigh add 192.0.2.2 lladdr 02:00:00:00:00:02 dev eth0 nud permanent").unwrap();
    let second = node::MANIFESTS
        .rsplit("---")
        .next()
        .unwrap()
        .replace("web-1", "web-2")
        .replace("192.0.2.2", "192.0.2.3");
    fs::write(node.directory.path().join("second.yaml"), second).unwrap();
    let _agent = node.start(&[]);
    // In order of their addresses: once the second is managed, the first was looked at.
    wait::until_true("the second endpoint's next hop is managed", || {
        node.neighbours().lines().any(|line| line.starts_with("192.0.2.3 ") && line.contains("managed"))
    })
    .unwrap();
    assert!(node.neighbours().contains("PERMANENT"), "{}", node.neighbours());
}

#[test]
fn an_uplink_that_is_replaced_gets_programs_again() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    let node = Node::new();
    let _agent = node.start(&[]);
    let before = node.links();
    node.namespace.ip("link del eth0").unwrap();
    wait::until_true("the links of the old device are gone", || node.link(Hook::Xdp).is_none()).unwrap();
    node.add_uplink();
    wait::until_true("the new device has programs", || {
        [Hook::Xdp, Hook::Ingress, Hook::Egress].iter().all(|hook| node.link(*hook).is_some())
    })
    .unwrap();
    for (new, old) in node.links().iter().zip(before) {
        assert_ne!(new.id, old.id);
    }
}

#[test]
fn overlay_devices_get_programs_at_ingress_and_are_marked_when_they_appear() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    let node = Node::new();
    let _agent = node.start(&[]);
    node.namespace
        .ip("link add flannel.1 type vxlan id 1 local 192.0.2.1 dstport 8472\naddr add 10.244.1.0/32 dev flannel.1\nlink set flannel.1 up")
        .unwrap();
    let overlay = || {
        let interfaces = Pinned::open(&node.pins).unwrap().interfaces().unwrap();
        interfaces
            .into_values()
            .find(|interface| interface.flags == INTERFACE_OVERLAY && interface.address_be != 0)
    };
    let overlay = wait::until("the overlay device is in the maps", overlay).unwrap();
    assert_eq!(overlay.address_be.to_ne_bytes(), [10, 244, 1, 0]);
    let links = PinDir::list(&node.pins.links()).unwrap();
    assert_eq!(links, ["eth0-in", "eth0-out", "eth0-xdp", "flannel:1-in"]);
    node.namespace.ip("link del flannel.1").unwrap();
    wait::until_true("its link is gone with it", || PinDir::list(&node.pins.links()).unwrap().len() == 3)
        .unwrap();
}

#[test]
fn somebody_elses_xdp_program_is_left_alone_and_named() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    let node = Node::new();
    xdp_pass::attach(&node.namespace, &["eth0"]).unwrap();
    let before = node.uplink();
    let (code, log) = node.fail(&[]);
    assert_eq!(code, Some(6), "{log}");
    assert!(log.contains("eth0 already runs the XDP program") && log.contains("--mode tc"), "{log}");
    assert_eq!(node.uplink(), before);
    assert!(node.link(Hook::Ingress).is_none() && node.link(Hook::Egress).is_none());
    // Beside it, tcx has room.
    let _agent = node.start(&["--mode", "tc"]);
    assert_eq!(node.uplink(), before);
}

#[test]
fn ours_come_once_a_foreign_program_leaves_a_device_that_came_while_the_agent_ran() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    let node = Node::new();
    let _agent = node.start(&[]);
    node.namespace.ip("link del eth0").unwrap();
    wait::until_true("the links of the old device are gone", || node.link(Hook::Xdp).is_none()).unwrap();
    let peer = node.peer().name();
    node.namespace.ip(&format!("link add eth0 type veth peer name eth0 netns {peer}")).unwrap();
    xdp_pass::attach(&node.namespace, &["eth0"]).unwrap();
    node.namespace.ip("addr add 192.0.2.1/24 dev eth0\nlink set eth0 up").unwrap();
    let said = |line: &str| node.admin("/metrics").is_some_and(|(_, text)| text.contains(line));
    let lacks_programs = || said("sluice_unattached_uplinks 1\n") && !said("sluice_interface_mode{");
    wait::until_true("the agent says that an uplink lacks its programs", lacks_programs).unwrap();
    assert!(node.link(Hook::Ingress).is_none() && node.admin("/readyz").unwrap().0 == 200);
    node.namespace.ip("link set eth0 xdpdrv off").unwrap();
    let has_programs = || said("sluice_unattached_uplinks 0\n") && said("sluice_interface_mode{");
    wait::until_true("our programs are there", || node.link(Hook::Xdp).is_some() && has_programs()).unwrap();
}

#[test]
fn a_named_uplink_that_is_gone_is_counted_while_the_others_serve() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    let node = Node::new();
    let peer = node.peer().name();
    node.namespace
        .ip(&format!("link add eth1 type veth peer name eth1 netns {peer}\nlink set eth1 up"))
        .unwrap();
    let _agent = node.start(&["--interface", "eth0", "--interface", "eth1"]);
    let unattached = |count| {
        node.admin("/metrics")
            .is_some_and(|(_, text)| text.contains(&format!("sluice_unattached_uplinks {count}\n")))
    };
    wait::until_true("both have programs", || unattached(0)).unwrap();
    node.namespace.ip("link del eth1").unwrap();
    wait::until_true("one is missed", || unattached(1)).unwrap();
    assert!(node.link(Hook::Xdp).is_some());
}

#[test]
fn every_refusal_has_its_exit_code_and_one_clear_sentence() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    let node = Node::new();
    let (code, log) = node.fail(&["--interface", "eth9"]);
    assert_eq!(code, Some(5), "{log}");
    assert!(log.contains("device eth9 does not exist; present: lo, eth0"), "{log}");

    let (code, log) = node.fail(&["--mode", "fast"]);
    assert_eq!(code, Some(2), "{log}");

    fs::write(node.directory.path().join("all.yaml"), node::MANIFESTS.replace("192.0.2.1}", "192.0.2.9}"))
        .unwrap();
    let (code, log) = node.fail(&[]);
    assert_eq!(code, Some(5), "{log}");
    assert!(log.contains("no uplink") && log.contains("--interface"), "{log}");

    let mut unprivileged = node.namespace.command("setpriv").unwrap();
    unprivileged.args(["--bounding-set", "-bpf,-sys_admin"]).arg(binary().unwrap());
    node.arguments(&mut unprivileged, &[]);
    let (code, log) = node.fail_as(unprivileged);
    assert_eq!(code, Some(3), "{log}");
    assert!(log.contains("missing CAP_BPF"), "{log}");
}

#[test]
fn the_three_documented_capabilities_are_enough() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    let node = Node::new();
    fs::create_dir_all(node.pins.base()).unwrap();
    let mut confined = node.namespace.command("setpriv").unwrap();
    confined.args(["--bounding-set", "-all,+bpf,+net_admin,+perfmon"]).arg(binary().unwrap());
    node.arguments(&mut confined, &[]);
    let _agent = node.start_as(confined);
    assert!(node.uplink().contains("name sluice_xdp"), "{}", node.uplink());
}

#[test]
fn maps_of_another_size_are_refused_with_the_flag_that_made_them() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    let node = Node::new();
    drop(node.start(&[]));
    let before = node.links();
    let (code, log) = node.fail(&["--max-flows=8192"]);
    assert_eq!(code, Some(1), "{log}");
    assert!(
        log.contains("map flows") && log.contains("--max-flows 4096") && log.contains("sluice cleanup"),
        "{log}"
    );
    assert_eq!(node.links(), before);
}

#[test]
fn a_second_agent_on_the_same_directory_is_refused_and_the_first_goes_on() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    let node = Node::new();
    let _agent = node.start(&[]);
    let before = node.links();
    let (code, log) = node.fail(&[]);
    assert_eq!(code, Some(7), "{log}");
    assert_eq!(node.links(), before);
    assert_eq!(node.admin("/readyz").unwrap().0, 200);
}

#[test]
fn cleanup_waits_for_no_agent_and_then_removes_everything() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    let node = Node::new();
    let mut agent = node.start(&[]);
    assert!(matches!(node.cleanup(), Err(CleanupError::Lock(_))));
    wait::until_true("a neighbour is managed", || node.neighbours().contains("managed")).unwrap();
    agent.end(Signal::SIGTERM);
    let removed = node.cleanup().unwrap();
    assert_eq!(removed.links, ["eth0 in", "eth0 out", "eth0 xdp"]);
    assert_eq!(removed.neighbours, 1);
    assert!(!node.uplink().contains("xdp"), "{}", node.uplink());
    assert!(!node.neighbours().contains("managed"), "{}", node.neighbours());
    assert!(!node.pins.base().exists());
    assert_eq!(node.cleanup().unwrap(), Removed::default());
}

/// What kernels before 6.6 get in place of tcx links.
#[test]
fn a_clsact_filter_is_replaced_in_place_outlives_its_loader_and_is_found_again_by_name() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    let node = Node::new();
    node.pins.create().unwrap();
    let settings = Settings { sizes: node::sizes(), ..Settings::default() };
    let filters = || node.namespace.run("tc", &["filter", "show", "dev", "eth0", "ingress"]).unwrap();
    let programs: Vec<_> = (0..2)
        .map(|_| {
            node.namespace.enter(|| {
                let mut ebpf = loader::load(&node.pins, &settings).unwrap();
                let program = loader::classifier(&mut ebpf, program::TCX_INGRESS).unwrap();
                clsact::attach(program, "eth0", TcAttachType::Ingress).unwrap();
                program.info().unwrap().id()
            })
        })
        .collect();
    assert_eq!(filters().matches(" handle ").count(), 1, "{}", filters());
    assert!(filters().contains(&format!("id {} ", programs[1])), "{programs:?}: {}", filters());
    let detached: Vec<_> = node.namespace.enter(|| clsact::detach_all("eth0").collect());
    assert_eq!(detached, [Hook::Ingress]);
    assert!(!filters().contains("sluice"), "{}", filters());
}

/// `sysctl --system` writes the list anew.
#[test]
fn ports_of_snat_are_reserved_again_beside_what_somebody_else_wrote() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    let node = Node::new();
    let _agent = node.start(&[]);
    let list = || node.namespace.run("sysctl", &["-n", "net.ipv4.ip_local_reserved_ports"]).unwrap();
    wait::until_true("they are reserved", || list().trim() == "49152-65535").unwrap();
    node.namespace.sysctl("ipv4/ip_local_reserved_ports", "8080").unwrap();
    wait::until_true("they are reserved again", || list().trim() == "8080,49152-65535").unwrap();
}
