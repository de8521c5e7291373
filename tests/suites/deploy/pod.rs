//! The real agent with what the DaemonSet gives its container, and nothing more.

use std::process::{Child, Command, Stdio};

use lb_tests::{
    BPFFS, agent,
    cluster::{NODE_PORT, web},
    manifests::Manifests,
    skip,
    topo::{Node, Routing, Topology},
    traffic::request,
    wait,
};
use lb_userspace::dataplane::pin::PinDir;
use serde_json::Value;

use crate::{agent as container, words};

/// What the container runtime does before it starts the program: root and sysctls read-only, the hostPath mounted,
/// capabilities dropped.
const CONFINE: &str = r#"
mount --make-rprivate /
mount --bind /proc/sys /proc/sys
mount -o remount,bind,ro /proc/sys
mount -o remount,bind,ro /
mount --bind "$SLUICE_BPF_DIR" "$SLUICE_BPF_DIR"
exec setpriv --no-new-privs --inh-caps=-all --bounding-set="$0" -- "$@"
"#;

/// The agent's process, and what it has pinned; both are gone when it is dropped.
struct Running {
    process: Child,
    bpf_dir: String,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.bpf_dir);
    }
}

/// A command of `sluice` as the container on a node runs it.
fn confined(node: &Node, bpf_dir: &str) -> Command {
    let container = container();
    let capabilities = words(&container["securityContext"]["capabilities"]["add"]);
    let kept: String = capabilities.iter().map(|name| format!(",+{}", name.to_lowercase())).collect();
    let mut command = node.namespace.command("unshare").unwrap();
    command.args(["--mount", "sh", "-ec", CONFINE]).arg(format!("-all{kept}"));
    command.arg(agent::binary().unwrap()).env("SLUICE_BPF_DIR", bpf_dir).env("NODE_NAME", node.name);
    command.stdin(Stdio::null());
    command
}

/// The status that a probe of the DaemonSet meets.
fn probe(node: &Node, name: &str) -> Option<u16> {
    let http = container()[name]["httpGet"].clone();
    let address = format!("{}:{}", http["host"].as_str()?, http["port"]);
    let page = request(&node.namespace, address.parse().ok()?, "GET", http["path"].as_str()?, "");
    page.ok().map(|page| page.status)
}

#[test]
fn the_agent_becomes_ready_with_the_privileges_of_the_daemon_set() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    let topology = Topology::new(Routing::Native, 1).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let manifests = Manifests::new(folder.path().join("manifests"), &topology).unwrap();
    manifests.apply(&web(&topology)).unwrap();
    let node = topology.node_a();
    let bpf_dir = format!("{BPFFS}/{}", topology.name);
    std::fs::create_dir(&bpf_dir).unwrap();

    let args = container()["args"].clone();
    let mut command = confined(node, &bpf_dir);
    command.args(args.as_array().unwrap().iter().filter_map(Value::as_str));
    command.env("SLUICE_MANIFESTS", manifests.directory());
    let mut running = Running { process: command.spawn().unwrap(), bpf_dir: bpf_dir.clone() };
    let probes = ["startupProbe", "livenessProbe", "readinessProbe"];
    wait::until_true("every probe succeeds", || {
        assert_eq!(running.process.try_wait().unwrap(), None, "the agent ended");
        probes.iter().all(|name| probe(node, name).is_some_and(|status| status == 200))
    })
    .unwrap();

    // As `kubectl exec` runs them, with the agent alive.
    let run = |args: &[&str]| {
        let output = confined(node, &bpf_dir).args(args).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(run(&["get", "services", "-A", "-o", "json"]).contains("\"web\""));
    let node_port = format!("{}:{NODE_PORT}", node.addresses.v4);
    assert!(run(&["trace", "tcp", "198.51.100.7:40000", &node_port]).contains("web"));

    running.process.kill().unwrap();
    running.process.wait().unwrap();
    run(&["cleanup"]);
    assert!(!PinDir::new(&bpf_dir).root().exists(), "cleanup left pins behind");
}
