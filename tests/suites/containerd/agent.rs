//! The agent in a container on a node.

use std::{collections::BTreeSet, fs};

use lb_tests::{
    BPFFS,
    cluster::{SMALL_MAPS, web},
    load::{Kind, Load},
    manifests::Manifests,
    netns::Namespace,
    topo::{EXTERNAL_IP, Routing, Topology},
    traffic::{IpFamily, Target, requests},
    wait,
};
use tempfile::TempDir;

use crate::{
    archive,
    container::{Container, Manifest, Plan},
    daemon::Daemon,
    is_possible,
};

const VIP: Target = Target::tcp(EXTERNAL_IP.of(IpFamily::Ipv4), 80);

/// The bits of the capabilities that the DaemonSet may name, from include/uapi/linux/capability.h.
const BITS: [(&str, u32); 3] = [("CAP_NET_ADMIN", 12), ("CAP_PERFMON", 38), ("CAP_BPF", 39)];

/// A directory of bpffs, gone with all that is pinned in it when dropped.
struct Pins(String);

impl Pins {
    fn create(name: &str) -> Self {
        let path = format!("{BPFFS}/{name}");
        fs::create_dir(&path).unwrap();
        Self(path)
    }
}

impl Drop for Pins {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A network with a Service, and everything that the agent's container on node-a is made with.
struct Site {
    manifest: Manifest,
    topology: Topology,
    manifests: Manifests,
    pins: Pins,
    _folder: TempDir,
}

impl Site {
    fn new() -> Self {
        let topology = Topology::new(Routing::Native, 1).unwrap();
        let folder = TempDir::with_prefix(&topology.name).unwrap();
        let manifests = Manifests::new(folder.path().join("manifests"), &topology).unwrap();
        manifests.apply(&web(&topology)).unwrap();
        let pins = Pins::create(&topology.name);
        Self { manifest: Manifest::read("base").unwrap(), topology, manifests, pins, _folder: folder }
    }

    fn plan(&self, image: &str, name: &str) -> Plan {
        let node = self.topology.node_a();
        let manifests = self.manifests.directory().display().to_string();
        Plan::new(&self.manifest, image, name, node)
            .mount(&self.pins.0, self.manifest.mount_path("bpf").unwrap(), "rw")
            .mount(&manifests, "/manifests", "ro")
            .env("NODE_NAME", node.name)
            .env("SLUICE_MANIFESTS", "/manifests")
            .env("SLUICE_EXTERNAL_IPS_ALLOWED", &lb_tests::topo::VIPS.join(","))
            .seccomp(concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/seccomp/sluice.json"))
    }

    fn program(&self) -> Vec<&str> {
        [&["/usr/bin/sluice"], self.manifest.args().as_slice(), &SMALL_MAPS].concat()
    }

    fn node(&self) -> &Namespace {
        &self.topology.node_a().namespace
    }

    fn load(&self) -> Load {
        let sessions = [(Kind::Connections, 2), (Kind::Exchange, 4), (Kind::Download, 2), (Kind::Upload, 2)];
        Load::start(&self.topology.client, VIP, &sessions).unwrap()
    }
}

fn wait_ready(container: &Container<'_>, node: &Namespace) {
    let url = "http://127.0.0.1:9470/readyz";
    wait::until_true("the agent is ready", || {
        assert!(container.pid().is_ok(), "the agent ended");
        node.run("curl", &["--silent", "--fail", url]).is_ok()
    })
    .unwrap();
}

/// Exactly what the DaemonSet asks for is in force, and not because the test says so: the kernel does.
fn check_privileges(container: &Container<'_>, manifest: &Manifest) {
    let known: BTreeSet<String> = BITS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(manifest.capabilities(), known);
    let bits = BITS.iter().fold(0_u64, |bits, (_, bit)| bits | 1 << bit);
    for set in ["CapPrm", "CapEff", "CapBnd"] {
        assert_eq!(container.status(set).unwrap(), format!("{bits:016x}"), "{set}");
    }
    assert_eq!(container.status("NoNewPrivs").unwrap(), "1");
    // SECCOMP_MODE_FILTER
    assert_eq!(container.status("Seccomp").unwrap(), "2");
    let mounts = fs::read_to_string(format!("/proc/{}/mountinfo", container.pid().unwrap())).unwrap();
    let root = mounts.lines().find(|line| line.split(' ').nth(4) == Some("/")).unwrap();
    assert!(root.split(' ').nth(5).unwrap().starts_with("ro"), "{root}");
}

#[test]
fn the_agent_serves_a_node_from_its_container_and_packets_go_on_when_that_is_killed() {
    if !is_possible() {
        return;
    }
    let daemon = Daemon::start().unwrap();
    let image = daemon.import(&archive("sluice")).unwrap();
    let site = Site::new();
    let first = site.plan(&image, "first").start(&daemon, &site.program()).unwrap();
    wait_ready(&first, site.node());
    check_privileges(&first, &site.manifest);
    let interfaces = first.exec(&["/usr/bin/sluice", "get", "interfaces"]).unwrap();
    assert!(interfaces.contains("eth0") && interfaces.contains("native"), "{interfaces}");

    let load = site.load();
    load.advance(20).unwrap();
    first.end("SIGKILL").unwrap();
    drop(first);
    load.advance(20).unwrap();
    assert_eq!(requests(&site.topology.client, VIP, 40, 4).failures(), 0, "new connections without an agent");

    // Another container finds what the first has pinned, and takes over.
    let second = site.plan(&image, "second").start(&daemon, &site.program()).unwrap();
    wait_ready(&second, site.node());
    load.advance(20).unwrap();
    load.finish().unwrap();
    second.end("SIGTERM").unwrap();
    drop(second);
    let (succeeded, told) = site.plan(&image, "last").run(&daemon, &["/usr/bin/sluice", "cleanup"]).unwrap();
    assert!(succeeded, "{told}");
}

#[test]
fn doctor_finds_all_it_looks_for_in_the_agents_container() {
    if !is_possible() {
        return;
    }
    let daemon = Daemon::start().unwrap();
    let image = daemon.import(&archive("sluice")).unwrap();
    let site = Site::new();
    let (succeeded, told) = site.plan(&image, "doctor").run(&daemon, &["/usr/bin/sluice", "doctor"]).unwrap();
    assert!(succeeded && told.contains(" 0 failed"), "{told}");
}
