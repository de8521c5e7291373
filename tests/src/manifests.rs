//! A folder of Kubernetes manifests, as `sluice agent --manifests` reads it, and edits of it.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use crate::{
    pod::Pod,
    topo::{Node, Topology},
    traffic::Target,
};

/// The port of every Service's external and load-balancer addresses, TCP and UDP.
pub const PORT: u16 = 80;

/// A folder of manifests.
#[derive(Debug)]
pub struct Manifests {
    directory: PathBuf,
}

impl Manifests {
    /// A folder that describes the nodes of a network, and no Service yet.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn new(directory: impl Into<PathBuf>, topology: &Topology) -> Result<Self> {
        let directory = directory.into();
        fs::create_dir_all(&directory)?;
        let manifests = Self { directory };
        let nodes: Vec<String> = topology.nodes.iter().map(node_yaml).collect();
        manifests.write("nodes.yaml", &nodes.join("---\n"))?;
        Ok(manifests)
    }

    /// The folder.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Writes a Service and its EndpointSlice into `<name>.yaml`; a file of that name is replaced at once.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn apply(&self, service: &Service) -> Result<()> {
        self.write(&format!("{}.yaml", service.name), &service.yaml())
    }

    /// Removes a Service's file.
    ///
    /// # Errors
    /// Where there is none.
    pub fn delete(&self, service: &Service) -> Result<()> {
        let path = self.directory.join(format!("{}.yaml", service.name));
        fs::remove_file(&path).with_context(|| path.display().to_string())
    }

    /// Writes any text as a file of the folder.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn write(&self, file: &str, text: &str) -> Result<()> {
        // By rename, as kubectl's and editors' files come: no reader meets half a file.
        let draft = self.directory.join(format!(".{file}.draft"));
        fs::write(&draft, text).with_context(|| draft.display().to_string())?;
        fs::rename(&draft, self.directory.join(file)).with_context(|| file.to_owned())
    }
}

fn node_yaml(node: &Node) -> String {
    format!(
        "apiVersion: v1\nkind: Node\nmetadata:\n  name: {name}\nspec:\n  podCIDR: {cidr}\n  podCIDRs: [{cidr}]\n\
         status:\n  addresses:\n  - {{type: InternalIP, address: {address}}}\n  - {{type: Hostname, address: {name}}}\n",
        name = node.name,
        cidr = node.pod_cidr(),
        address = node.address,
    )
}

/// A Service with one TCP and one UDP port, and its endpoints.
#[derive(Clone, Debug)]
pub struct Service {
    /// `metadata.name`.
    pub name: String,
    /// `nodePort` of both ports.
    pub node_port: Option<u16>,
    /// `spec.externalIPs`.
    pub external_ips: Vec<Ipv4Addr>,
    /// `status.loadBalancer.ingress[].ip`.
    pub load_balancer_ips: Vec<Ipv4Addr>,
    /// `externalTrafficPolicy: Local`.
    pub local_traffic_policy: bool,
    /// The EndpointSlice's endpoints.
    pub endpoints: Vec<Endpoint>,
}

/// An endpoint of the slice.
#[derive(Clone, Debug)]
pub struct Endpoint {
    pod: String,
    address: Ipv4Addr,
    port: u16,
    node: String,
    terminating: bool,
}

impl Service {
    /// A Service on all of a name's pods and on no address yet.
    pub fn new<'a>(name: &str, pods: impl IntoIterator<Item = &'a Pod>) -> Self {
        let endpoint = |pod: &Pod| Endpoint {
            pod: pod.name.clone(),
            address: pod.address,
            port: pod.port,
            node: pod.node.clone(),
            terminating: false,
        };
        Self {
            name: name.into(),
            node_port: None,
            external_ips: Vec::new(),
            load_balancer_ips: Vec::new(),
            local_traffic_policy: false,
            endpoints: pods.into_iter().map(endpoint).collect(),
        }
    }

    /// With a node port, TCP and UDP.
    pub fn node_port(mut self, port: u16) -> Self {
        self.node_port = Some(port);
        self
    }

    /// With an external IP.
    pub fn external_ip(mut self, address: Ipv4Addr) -> Self {
        self.external_ips.push(address);
        self
    }

    /// With a load balancer's address.
    pub fn load_balancer_ip(mut self, address: Ipv4Addr) -> Self {
        self.load_balancer_ips.push(address);
        self
    }

    /// With `externalTrafficPolicy: Local`.
    pub fn local(mut self) -> Self {
        self.local_traffic_policy = true;
        self
    }

    /// Without a pod that it had.
    pub fn without(mut self, pod: &str) -> Self {
        self.endpoints.retain(|endpoint| endpoint.pod != pod);
        self
    }

    /// With a pod on its way out: not ready, still serving, terminating.
    pub fn terminating(mut self, pod: &str) -> Self {
        self.endpoints
            .iter_mut()
            .filter(|endpoint| endpoint.pod == pod)
            .for_each(|endpoint| endpoint.terminating = true);
        self
    }

    /// Every frontend of the Service on a node.
    pub fn targets(&self, node: &Node) -> Vec<Target> {
        let vips = self.external_ips.iter().chain(&self.load_balancer_ips).map(|ip| (*ip, PORT));
        let node_port = self.node_port.map(|port| (node.address, port));
        vips.chain(node_port).flat_map(|(ip, port)| [Target::tcp(ip, port), Target::udp(ip, port)]).collect()
    }

    /// The endpoints that a node is to send to: the ready ones, else those that still serve (KEP-1669).
    pub fn wanted(&self, node: &Node) -> BTreeSet<Ipv4Addr> {
        let here = |endpoint: &&Endpoint| !self.local_traffic_policy || endpoint.node == node.name;
        let mine: Vec<_> = self.endpoints.iter().filter(here).collect();
        let ready: BTreeSet<_> =
            mine.iter().filter(|endpoint| !endpoint.terminating).map(|e| e.address).collect();
        if ready.is_empty() { mine.iter().map(|endpoint| endpoint.address).collect() } else { ready }
    }

    /// The Service and its EndpointSlices as YAML documents.
    pub fn yaml(&self) -> String {
        let mut text = self.service_yaml();
        // The ports of a slice hold for all of its endpoints: host-network pods, on a port of their own, take another.
        let mut ports: Vec<u16> = self.endpoints.iter().map(|endpoint| endpoint.port).collect();
        ports.sort_unstable();
        ports.dedup();
        ports.iter().for_each(|port| text.push_str(&self.slice_yaml(*port)));
        text
    }

    fn service_yaml(&self) -> String {
        let kind = match (&self.load_balancer_ips[..], self.node_port) {
            ([_, ..], _) => "LoadBalancer",
            ([], Some(_)) => "NodePort",
            ([], None) => "ClusterIP",
        };
        let mut text = format!(
            "apiVersion: v1\nkind: Service\nmetadata:\n  name: {}\n  namespace: default\nspec:\n  type: {kind}\n",
            self.name
        );
        if !self.external_ips.is_empty() {
            let _ = writeln!(text, "  externalIPs: [{}]", list(&self.external_ips));
        }
        if kind != "ClusterIP" || !self.external_ips.is_empty() {
            let policy = if self.local_traffic_policy { "Local" } else { "Cluster" };
            let _ = writeln!(text, "  externalTrafficPolicy: {policy}");
        }
        text.push_str("  ports:\n");
        let node_port = self.node_port.map(|port| format!(", nodePort: {port}")).unwrap_or_default();
        for (name, protocol) in [("tcp", "TCP"), ("udp", "UDP")] {
            let _ = writeln!(text, "  - {{name: {name}, protocol: {protocol}, port: {PORT}{node_port}}}");
        }
        if !self.load_balancer_ips.is_empty() {
            text.push_str("status:\n  loadBalancer:\n    ingress:\n");
            self.load_balancer_ips.iter().for_each(|ip| text.push_str(&format!("    - ip: {ip}\n")));
        }
        text
    }

    fn slice_yaml(&self, port: u16) -> String {
        let mut text = format!(
            "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata:\n  name: {name}-{port}\n  \
             namespace: default\n  labels:\n    kubernetes.io/service-name: {name}\naddressType: IPv4\nports:\n\
             - {{name: tcp, protocol: TCP, port: {port}}}\n- {{name: udp, protocol: UDP, port: {port}}}\nendpoints:\n",
            name = self.name,
        );
        for endpoint in self.endpoints.iter().filter(|endpoint| endpoint.port == port) {
            let Endpoint { pod, address, node, terminating, .. } = endpoint;
            let _ = write!(
                text,
                "- addresses: [{address}]\n  nodeName: {node}\n  targetRef: {{kind: Pod, name: {pod}}}\n  \
                 conditions: {{ready: {ready}, serving: true, terminating: {terminating}}}\n",
                ready = !terminating,
            );
        }
        text
    }
}

fn list(addresses: &[Ipv4Addr]) -> String {
    addresses.iter().map(Ipv4Addr::to_string).collect::<Vec<_>>().join(", ")
}
