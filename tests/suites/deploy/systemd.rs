//! The units of `deploy/systemd`: what systemd says of them, and the real agent with what its unit gives it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::{
        fs::{PermissionsExt, chown},
        net::UnixDatagram,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use lb_tests::{
    BPFFS, agent,
    cluster::{SMALL_MAPS, web},
    manifests::Manifests,
    skip::{self, Need},
    topo::{Node, Routing, Topology},
    wait,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

/// Somebody without any right.
const NOBODY: u32 = 65534;

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy")
}

fn text(unit: &str) -> String {
    fs::read_to_string(deploy().join(format!("systemd/{unit}.service"))).unwrap()
}

/// Every setting with its words; one that is repeated adds to itself.
fn settings(unit: &str) -> BTreeMap<String, Vec<String>> {
    let mut settings: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in text(unit).lines().filter(|line| !line.starts_with('#')) {
        if let Some((name, value)) = line.split_once('=') {
            let words = value.split_whitespace().map(str::to_owned);
            settings.entry(name.to_owned()).or_default().extend(words);
        }
    }
    settings
}

#[test]
fn systemd_understands_every_line_of_the_units_and_finds_little_exposed() {
    if !skip::need(&[Need::Tool("systemd-analyze")]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for unit in ["sluice", "sluice-ingress"] {
        let copy = folder.path().join(format!("{unit}.service"));
        // The program is not installed here.
        fs::write(&copy, text(unit).replace(&format!("/usr/bin/{unit}"), "/bin/true")).unwrap();
        let verify = Command::new("systemd-analyze").arg("verify").arg(&copy).output().unwrap();
        let complaints = [verify.stdout, verify.stderr].concat();
        assert!(verify.status.success(), "{unit}: {}", String::from_utf8_lossy(&complaints));
        assert!(
            !String::from_utf8_lossy(&complaints).contains(unit),
            "{}",
            String::from_utf8_lossy(&complaints)
        );
        // Of 100, where an ordinary service has 96.
        let mut security = Command::new("systemd-analyze");
        security.args(["security", "--offline=true", "--no-pager", "--threshold=25"]).arg(&copy);
        let told = security.output().unwrap();
        assert!(told.status.success(), "{unit}: {}", String::from_utf8_lossy(&told.stdout));
    }
}

#[test]
fn the_units_give_what_the_daemon_sets_give_and_no_more() {
    let agent = settings("sluice");
    let added = crate::agent()["securityContext"]["capabilities"]["add"].clone();
    let added: BTreeSet<_> = crate::words(&added).into_iter().map(|name| format!("CAP_{name}")).collect();
    for set in ["AmbientCapabilities", "CapabilityBoundingSet"] {
        assert_eq!(agent[set].iter().cloned().collect::<BTreeSet<_>>(), added, "{set}");
        assert_eq!(settings("sluice-ingress")[set], ["CAP_NET_BIND_SERVICE"], "{set}");
    }
    for unit in ["sluice", "sluice-ingress"] {
        let profile = fs::read_to_string(deploy().join(format!("seccomp/{unit}.json"))).unwrap();
        let profile: Value = serde_json::from_str(&profile).unwrap();
        let groups = profile["syscalls"].as_array().unwrap();
        let calls: BTreeSet<_> = groups.iter().flat_map(|group| crate::words(&group["names"])).collect();
        let settings = settings(unit);
        let filter: BTreeSet<_> = settings["SystemCallFilter"].iter().map(String::as_str).collect();
        assert_eq!(filter, calls, "{unit}: the profile that is proven in containerd");
        assert_eq!(settings["Type"], ["notify"]);
    }
}

/// An agent as its unit starts it: an ordinary user with the unit's capabilities, and a systemd that listens.
struct Service {
    process: Child,
    systemd: UnixDatagram,
    bpf_dir: PathBuf,
}

impl Service {
    fn start(node: &Node, folder: &Path, name: &str, source: [&str; 2]) -> Self {
        let capabilities: String = settings("sluice")["AmbientCapabilities"]
            .iter()
            .map(|name| format!(",+{}", name.trim_start_matches("CAP_").to_lowercase()))
            .collect();
        let socket = folder.join(format!("{name}.socket"));
        let systemd = UnixDatagram::bind(&socket).unwrap();
        systemd.set_read_timeout(Some(wait::DEADLINE)).unwrap();
        fs::set_permissions(&socket, fs::Permissions::from_mode(0o777)).unwrap();
        // What the unit's ExecStartPre does.
        let bpf_dir = Path::new(BPFFS).join(name);
        fs::create_dir(&bpf_dir).unwrap();
        chown(&bpf_dir, Some(NOBODY), Some(NOBODY)).unwrap();
        let mut command = node.namespace.command("setpriv").unwrap();
        command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "--no-new-privs"]);
        for set in ["--inh-caps", "--ambient-caps", "--bounding-set"] {
            command.arg(format!("{set}=-all{capabilities}"));
        }
        command.arg(agent::binary().unwrap()).arg("agent").args(source).args(SMALL_MAPS);
        command.env("NODE_NAME", node.name).env("NOTIFY_SOCKET", &socket).env("SLUICE_BPF_DIR", &bpf_dir);
        command.stdin(Stdio::null());
        Self { process: command.spawn().unwrap(), systemd, bpf_dir }
    }

    /// What systemd is told next.
    fn told(&self) -> String {
        let mut buffer = [0; 256];
        let length = self.systemd.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..length]).trim_end().to_owned()
    }

    fn terminate(&mut self) {
        kill(Pid::from_raw(self.process.id().cast_signed()), Signal::SIGTERM).unwrap();
        assert_eq!(self.told(), "STOPPING=1");
        assert!(self.process.wait().unwrap().success());
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.bpf_dir);
    }
}

fn probe(node: &Node) -> String {
    let url = "http://127.0.0.1:9470/readyz";
    let asked = ["--silent", "--output", "/dev/null", "--write-out", "%{http_code}", url];
    node.namespace.run("curl", &asked).unwrap_or_default()
}

#[test]
fn the_agent_of_the_unit_is_no_root_and_tells_systemd_when_it_is_ready_and_when_it_ends() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    let topology = Topology::new(Routing::Native, 1).unwrap();
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let manifests = Manifests::new(folder.path().join("manifests"), &topology).unwrap();
    manifests.apply(&web(&topology)).unwrap();
    let node = topology.node_a();

    let directory = manifests.directory().display().to_string();
    let mut ready = Service::start(node, folder.path(), &topology.name, ["--manifests", &directory]);
    assert_eq!(ready.told(), "READY=1");
    assert_eq!(probe(node), "200");
    ready.terminate();
    drop(ready);

    // Nobody answers there: the agent runs, and is never ready.
    let kubeconfig = folder.path().join("kubeconfig");
    fs::write(&kubeconfig, KUBECONFIG).unwrap();
    let name = format!("{}-alone", topology.name);
    let kubeconfig = kubeconfig.display().to_string();
    let mut waiting = Service::start(node, folder.path(), &name, ["--kubeconfig", &kubeconfig]);
    wait::until_true("the agent says that it is not ready", || probe(node) == "503").unwrap();
    waiting.terminate();
}

const KUBECONFIG: &str = "\
apiVersion: v1
kind: Config
clusters: [{name: none, cluster: {server: 'https://127.0.0.1:1'}}]
users: [{name: none, user: {token: none}}]
contexts: [{name: none, context: {cluster: none, user: none}}]
current-context: none
";
