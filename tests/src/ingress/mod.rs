//! Ingress proxies behind the packet path: one in a pod of each node, as the DaemonSet runs them.

mod certificate;
mod yaml;

use std::{
    fs::{self, File},
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result};

pub use self::certificate::{HOSTS, secret};
use crate::{
    agent, cluster::Cluster, dual_stack::DualStack, manifests::Manifests, netns::Namespace, pod::Pod,
    topo::Topology, traffic::request, wait,
};

/// The address that Ingresses answer at.
pub const INGRESS_IP: DualStack = DualStack::new([203, 0, 113, 30], [0x2001, 0xdb8, 0xf, 0, 0, 0, 0, 0x30]);
/// Where a proxy listens in its pod, beside what the pod serves itself.
pub const HTTP_PORT: u16 = 8081;
/// As [`HTTP_PORT`], for HTTP over TLS.
pub const HTTPS_PORT: u16 = 8443;
const ADMIN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9480);
/// The folder of the manifests that began this project, as they were written.
const SEEDS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/seeds");

/// The proxies; they end when dropped.
#[derive(Debug)]
pub struct Proxies {
    processes: Vec<Child>,
}

/// The pod of each node that its proxy is in: the last.
fn homes(topology: &Topology) -> impl Iterator<Item = &Pod> {
    topology.nodes.iter().filter_map(|node| node.pods.last())
}

impl Proxies {
    /// Starts a proxy on each node of a cluster, which follows the cluster's own manifests, and waits until it is ready.
    /// Logs go into `log_dir`.
    ///
    /// # Errors
    /// Where one does not become ready.
    pub fn start(cluster: &Cluster, log_dir: &Path) -> Result<Self> {
        let mut proxies = Self { processes: Vec::new() };
        for pod in homes(&cluster.topology) {
            let log = log_dir.join(format!("ingress-{}.log", pod.node));
            let log = File::create(&log).with_context(|| log.display().to_string())?;
            let mut command: Command = pod.namespace().command(agent::ingress_binary()?)?;
            command
                .arg("--manifests")
                .arg(cluster.manifests.directory())
                .args(["--http", &format!("[::]:{HTTP_PORT}"), "--https", &format!("[::]:{HTTPS_PORT}")])
                .args(["--admin", &ADMIN.to_string(), "--default-certificate", "default/ingress-certificate"])
                .stdin(Stdio::null())
                .stdout(log.try_clone()?)
                .stderr(log);
            proxies.processes.push(command.spawn().context("cannot start sluice-ingress")?);
        }
        for pod in homes(&cluster.topology) {
            let what = format!("the proxy on {} is ready", pod.node);
            wait::until_true(&what, || is_ready(pod.namespace()))?;
        }
        Ok(proxies)
    }

    /// Leaves them running.
    pub fn keep(mut self) {
        self.processes.clear();
    }
}

impl Drop for Proxies {
    fn drop(&mut self) {
        for process in &mut self.processes {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

fn is_ready(namespace: &Namespace) -> bool {
    request(namespace, ADMIN, "GET", "/readyz", "").is_ok_and(|page| page.status == 200)
}

/// Writes the Service of the proxies, the Ingresses that began this project with a Service behind each, and a
/// certificate.
///
/// # Errors
/// Where a file cannot be written.
pub fn apply(topology: &Topology, manifests: &Manifests) -> Result<()> {
    manifests.write("ingress-frontend.yaml", &yaml::frontend(INGRESS_IP, homes(topology)))?;
    let [near, far] = [topology.node_a(), topology.node_b()].map(|node| node.pods.first());
    let near_and_far = || near.into_iter().chain(far);
    let applications = [
        yaml::application("my-service", 80, near_and_far()),
        yaml::application("my-service-1", 80, near),
        yaml::application("my-service-2", 80, far),
        yaml::application("svc-hello-cisco", 5000, near_and_far()),
    ];
    manifests.write("ingress-applications.yaml", &applications.concat())?;
    for (file, text) in seeds()? {
        manifests.write(&file, &text)?;
    }
    manifests.write("ingress-certificate.yaml", &secret("ingress-certificate", &HOSTS)?)
}

/// The Ingresses that began this project. Two have one name, and one is no YAML as it was printed: its `backend` is moved
/// to where it belongs.
fn seeds() -> Result<Vec<(String, String)>> {
    let read = |file: &str| fs::read_to_string(Path::new(SEEDS).join(file)).context(file.to_owned());
    let hosts = read("ingress-host-and-paths.yaml")?.replace("name: my-ingress", "name: my-ingress-of-hosts");
    let hello = read("ingress-hello-cisco.yaml")?.replace("          backend:", "         backend:");
    Ok(vec![
        ("ingress-default-backend.yaml".to_owned(), read("ingress-default-backend.yaml")?),
        ("ingress-host-and-paths.yaml".to_owned(), hosts),
        ("ingress-hello-cisco.yaml".to_owned(), hello),
    ])
}
