//! A node with one uplink, and the agent on it.

use std::{
    fs,
    io::Read,
    net::IpAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
};

use lb_common::service::SERVICE_EXTERNAL_IP;
use lb_tests::{
    BPFFS,
    agent::binary,
    netns::{self, Namespace},
    traffic::{Page, request},
    wait,
};
use lb_userspace::dataplane::{
    attach::{Hook, link_name},
    cleanup::{CleanupError, Removed, cleanup},
    pin::PinDir,
    pinned::Pinned,
    spec::Sizes,
    sys::{PinnedLinkInfo, pinned_link},
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;

const ADMIN: &str = "127.0.0.1:9470";
/// Small maps: what is tested here does not grow with them.
const SIZES: [(&str, &str); 9] = [
    ("SLUICE_MAX_SERVICES", "256"),
    ("SLUICE_MAX_BACKENDS", "1024"),
    ("SLUICE_MAX_RING_CHUNKS", "4096"),
    ("SLUICE_MAX_FLOWS", "4096"),
    ("SLUICE_MAX_FLOWS6", "4096"),
    ("SLUICE_MAX_AFFINITIES", "128"),
    ("SLUICE_MAX_FRAGMENTS", "128"),
    ("SLUICE_MAX_SOURCE_RANGES", "128"),
    ("SLUICE_MAX_PEERS", "128"),
];
/// The same for what is loaded without an agent.
pub(crate) fn sizes() -> Sizes {
    Sizes { services: 256, backends: 1024, ring_chunks: 4096, flows: 4096, ..Sizes::default() }
}

/// A Service with an endpoint at the other end of the uplink.
pub(crate) const MANIFESTS: &str = "
apiVersion: v1
kind: Node
metadata: {name: node}
status: {addresses: [{type: InternalIP, address: 192.0.2.1}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: default}
spec: {type: NodePort, ports: [{port: 80, nodePort: 30080}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, namespace: default, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{port: 8080, protocol: TCP}]
endpoints: [{addresses: [192.0.2.2], nodeName: other, conditions: {ready: true}}]
";

/// A node with one uplink, on the other end of which nobody lives but the kernel.
pub(crate) struct Node {
    /// Where its agents run.
    pub(crate) namespace: Namespace,
    peer: Namespace,
    /// The folder of manifests.
    pub(crate) directory: TempDir,
    /// Where its agents pin.
    pub(crate) pins: PinDir,
}

impl Node {
    pub(crate) fn new() -> Self {
        netns::remove_stale();
        let name = netns::unique_name();
        let namespace = Namespace::create(&format!("{name}-node")).unwrap();
        let peer = Namespace::create(&format!("{name}-peer")).unwrap();
        let directory = TempDir::new().unwrap();
        let node = Self { namespace, peer, directory, pins: PinDir::new(PathBuf::from(BPFFS).join(name)) };
        node.write("all.yaml", MANIFESTS);
        node.add_uplink();
        node
    }

    /// Puts a file into the folder of manifests, in one step as the agent expects of editors.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let draft = self.directory.path().join(format!(".{name}"));
        fs::write(&draft, text).unwrap();
        fs::rename(draft, self.directory.path().join(name)).unwrap();
    }

    pub(crate) fn add_uplink(&self) {
        let peer = self.peer.name();
        self.namespace
            .ip(&format!("link add eth0 type veth peer name eth0 netns {peer}\naddr add 192.0.2.1/24 dev eth0\nlink set eth0 up"))
            .unwrap();
        self.peer.ip("addr add 192.0.2.2/24 dev eth0\nlink set eth0 up").unwrap();
    }

    /// Gives both ends of the uplink IPv6 addresses.
    pub(crate) fn add_ipv6(&self) {
        self.namespace.ip("address add 2001:db8::1/64 dev eth0 nodad").unwrap();
        self.peer.ip("address add 2001:db8::2/64 dev eth0 nodad").unwrap();
    }

    /// The other end of the uplink.
    pub(crate) fn peer(&self) -> &Namespace {
        &self.peer
    }

    /// Makes the other end of the uplink send packets to these networks here.
    pub(crate) fn route_from_peer(&self, networks: &[&str]) {
        for network in networks {
            let node = if network.contains(':') { "2001:db8::1" } else { "192.0.2.1" };
            self.peer.ip(&format!("route add {network} via {node}")).unwrap();
        }
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.namespace.command(binary().unwrap()).unwrap();
        self.arguments(&mut command, arguments);
        command
    }

    pub(crate) fn arguments(&self, command: &mut Command, arguments: &[&str]) {
        command.arg("agent").arg("--manifests").arg(self.directory.path()).args(arguments);
        self.surroundings(command);
    }

    /// An agent that follows the cluster of a kubeconfig.
    pub(crate) fn following(&self, kubeconfig: &Path, arguments: &[&str]) -> Command {
        let mut command = self.namespace.command(binary().unwrap()).unwrap();
        command.arg("agent").arg("--kubeconfig").arg(kubeconfig).args(arguments);
        self.surroundings(&mut command);
        command
    }

    fn surroundings(&self, command: &mut Command) {
        command.args(["--node-name=node", "--admin", ADMIN]).envs(SIZES);
        command.arg("--bpf-dir").arg(self.pins.base());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    }

    /// Starts an agent and waits until it says that it is ready.
    pub(crate) fn start(&self, arguments: &[&str]) -> Agent<'_> {
        self.start_as(self.command(arguments))
    }

    /// As [`start`](Self::start), by a command of one's own.
    pub(crate) fn start_as(&self, command: Command) -> Agent<'_> {
        self.spawn(command).ready()
    }

    /// As [`start_as`](Self::start_as), without waiting.
    pub(crate) fn spawn(&self, mut command: Command) -> Agent<'_> {
        Agent { node: self, process: command.spawn().unwrap() }
    }

    /// Runs an agent that is expected to end by itself: exit code and log.
    pub(crate) fn fail(&self, arguments: &[&str]) -> (Option<i32>, String) {
        self.fail_as(self.command(arguments))
    }

    pub(crate) fn fail_as(&self, mut command: Command) -> (Option<i32>, String) {
        let mut agent = Agent { node: self, process: command.spawn().unwrap() };
        let status = wait::until("the agent ends", || agent.process.try_wait().unwrap()).unwrap();
        (status.code(), agent.log())
    }

    pub(crate) fn admin(&self, path: &str) -> Option<(u16, String)> {
        self.http(ADMIN, path).map(|page| (page.status, page.body))
    }

    /// What a server on the node answers.
    pub(crate) fn http(&self, address: &str, path: &str) -> Option<Page> {
        request(&self.namespace, address.parse().unwrap(), "GET", path, "").ok()
    }

    /// What a command of `sluice` prints over what is pinned here.
    pub(crate) fn sluice(&self, arguments: &[&str]) -> String {
        let mut command = self.namespace.command(binary().unwrap()).unwrap();
        let output = command.args(arguments).arg("--bpf-dir").arg(self.pins.base()).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// External IPs in the maps, in order.
    pub(crate) fn external_ips(&self) -> Vec<String> {
        let services = Pinned::open(&self.pins).unwrap().services().unwrap();
        let external = services.iter().filter(|(_, service)| service.flags & SERVICE_EXTERNAL_IP != 0);
        let mut addresses: Vec<_> = external.map(|(key, _)| IpAddr::from(key.address).to_string()).collect();
        addresses.sort();
        addresses
    }

    pub(crate) fn link(&self, hook: Hook) -> Option<PinnedLinkInfo> {
        pinned_link(&self.pins.links().join(link_name("eth0", hook))).ok().flatten()
    }

    pub(crate) fn links(&self) -> [PinnedLinkInfo; 3] {
        [Hook::Xdp, Hook::Ingress, Hook::Egress].map(|hook| self.link(hook).unwrap())
    }

    /// What `ip` shows of the uplink.
    pub(crate) fn uplink(&self) -> String {
        self.namespace.run("ip", &["-details", "link", "show", "eth0"]).unwrap()
    }

    pub(crate) fn neighbours(&self) -> String {
        self.namespace.run("ip", &["neigh", "show", "dev", "eth0"]).unwrap()
    }

    pub(crate) fn cleanup(&self) -> Result<Removed, CleanupError> {
        self.namespace.enter(|| cleanup(&self.pins))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Err(error) = self.cleanup() {
            eprintln!("{error}");
            let _ = fs::remove_dir_all(self.pins.base());
        }
    }
}

/// An agent, killed when it is dropped.
pub(crate) struct Agent<'a> {
    node: &'a Node,
    process: Child,
}

impl Agent<'_> {
    /// Waits until it says that it is ready.
    pub(crate) fn ready(mut self) -> Self {
        let ready = wait::until_true("the agent is ready", || {
            self.process.try_wait().unwrap().is_some()
                || self.node.admin("/readyz").is_some_and(|(code, _)| code == 200)
        });
        if ready.is_err() || self.process.try_wait().unwrap().is_some() {
            let _ = self.process.kill();
            panic!("{}", self.log());
        }
        self
    }

    pub(crate) fn end(&mut self, signal: Signal) -> ExitStatus {
        kill(Pid::from_raw(self.process.id().cast_signed()), signal).unwrap();
        wait::until("the agent ends", || self.process.try_wait().unwrap()).unwrap()
    }

    /// What it said; it must have ended.
    pub(crate) fn log(&mut self) -> String {
        let mut log = String::new();
        if let Some(mut stderr) = self.process.stderr.take() {
            stderr.read_to_string(&mut log).unwrap();
        }
        log
    }
}

impl Drop for Agent<'_> {
    fn drop(&mut self) {
        if self.process.try_wait().is_ok_and(|status| status.is_none()) {
            let _ = self.process.kill();
            let _ = self.process.wait();
        }
        if std::thread::panicking() {
            eprintln!("--- log of the agent in {}\n{}\n---", self.node.namespace.name(), self.log());
        }
    }
}
