//! The proxy in a container on a node.

use lb_tests::{
    ingress,
    manifests::Manifests,
    topo::{Routing, Topology},
    wait,
};
use tempfile::TempDir;

use crate::{
    archive,
    container::{Manifest, Plan},
    daemon::Daemon,
    is_possible,
};

#[test]
fn the_proxy_answers_from_its_container_as_nobody() {
    if !is_possible() {
        return;
    }
    let daemon = Daemon::start().unwrap();
    let image = daemon.import(&archive("sluice-ingress")).unwrap();
    let topology = Topology::new(Routing::Native, 2).unwrap();
    let folder = TempDir::with_prefix(&topology.name).unwrap();
    let manifests = Manifests::new(folder.path().join("manifests"), &topology).unwrap();
    ingress::apply(&topology, &manifests).unwrap();

    let manifest = Manifest::read("ingress").unwrap();
    let node = topology.node_a();
    let plan = Plan::new(&manifest, &image, "proxy", node)
        .mount(&manifests.directory().display().to_string(), "/manifests", "ro")
        .env("SLUICE_MANIFESTS", "/manifests")
        .seccomp(concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/seccomp/sluice-ingress.json"));
    let program = [&["/usr/bin/sluice-ingress"], manifest.args().as_slice()].concat();
    let container = plan.start(&daemon, &program).unwrap();
    let url = "http://127.0.0.1:8080/foo";
    let mut body = String::new();
    wait::until_true("the proxy answers", || {
        let asked = ["--silent", "--fail", "--header", "Host: foo.bar.com", url];
        body = node.namespace.run("curl", &asked).unwrap_or_default();
        !body.is_empty()
    })
    .unwrap();
    assert!(body.starts_with("hello from pod-a1: /"), "{body}");
    // Real, effective, saved and file system's user, of the image alone: nothing above says who.
    for (field, expected) in [
        ("Uid", "65534\t65534\t65534\t65534"),
        ("Gid", "65534\t65534\t65534\t65534"),
        ("CapPrm", "0000000000000000"),
        ("CapBnd", "0000000000000000"),
        ("NoNewPrivs", "1"),
        ("Seccomp", "2"),
    ] {
        assert_eq!(container.status(field).unwrap(), expected, "{field}");
    }
    container.end("SIGKILL").unwrap();
}
