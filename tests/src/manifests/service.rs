//! A Service of the tests: what it says, and what follows from it.

use std::{collections::BTreeSet, net::IpAddr};

use lb_model::object::{IpFamily, Protocol};

use super::yaml;
use crate::{dual_stack::DualStack, pod::Pod, topo::Node, traffic::Target};

/// The port of every Service's external and load-balancer addresses, TCP and UDP.
pub const PORT: u16 = 80;

/// A Service with one TCP and one UDP port of the same number, perhaps an SCTP one too, and its endpoints.
#[derive(Clone, Debug)]
pub struct Service {
    /// `metadata.name`.
    pub name: String,
    /// `spec.ipFamilies`.
    pub families: Vec<IpFamily>,
    /// There is an SCTP port of the same number.
    pub sctp: bool,
    /// `nodePort` of all ports.
    pub node_port: Option<u16>,
    /// `spec.externalIPs`.
    pub external_ips: Vec<IpAddr>,
    /// `status.loadBalancer.ingress[].ip`.
    pub load_balancer_ips: Vec<IpAddr>,
    /// `externalTrafficPolicy: Local`.
    pub local_traffic_policy: bool,
    /// `healthCheckNodePort`.
    pub health_check_node_port: Option<u16>,
    /// `sessionAffinity: ClientIP`, with this timeout.
    pub affinity_seconds: Option<u32>,
    /// `loadBalancerSourceRanges`.
    pub source_ranges: Vec<String>,
    /// The annotation `sluice.dev/forwarding-mode: dsr`.
    pub dsr: bool,
    /// The EndpointSlices' endpoints.
    pub endpoints: Vec<Endpoint>,
}

/// An endpoint of the slices.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Name of its pod.
    pub pod: String,
    /// Its node.
    pub node: String,
    /// `hints.forNodes`.
    pub for_nodes: Vec<String>,
    /// `hints.forZones`.
    pub for_zones: Vec<String>,
    pub(super) addresses: DualStack,
    pub(super) port: u16,
    pub(super) terminating: bool,
}

impl Service {
    /// A dual-stack Service on all of a name's pods and on no address yet.
    pub fn new<'a>(name: &str, pods: impl IntoIterator<Item = &'a Pod>) -> Self {
        let endpoint = |pod: &Pod| Endpoint {
            pod: pod.name.clone(),
            node: pod.node.clone(),
            for_nodes: Vec::new(),
            for_zones: Vec::new(),
            addresses: pod.addresses,
            port: pod.port,
            terminating: false,
        };
        Self {
            name: name.into(),
            families: IpFamily::ALL.into(),
            sctp: false,
            node_port: None,
            external_ips: Vec::new(),
            load_balancer_ips: Vec::new(),
            local_traffic_policy: false,
            health_check_node_port: None,
            affinity_seconds: None,
            source_ranges: Vec::new(),
            dsr: false,
            endpoints: pods.into_iter().map(endpoint).collect(),
        }
    }

    /// Single-stack.
    pub fn only(mut self, family: IpFamily) -> Self {
        self.families = vec![family];
        self
    }

    /// With an SCTP port too.
    pub fn sctp(mut self) -> Self {
        self.sctp = true;
        self
    }

    /// With a node port for every port.
    pub fn node_port(mut self, port: u16) -> Self {
        self.node_port = Some(port);
        self
    }

    /// With an external IP of each family.
    pub fn external_ip(mut self, addresses: DualStack) -> Self {
        self.external_ips.extend(addresses.both());
        self
    }

    /// With a load balancer's address of each family.
    pub fn load_balancer_ip(mut self, addresses: DualStack) -> Self {
        self.load_balancer_ips.extend(addresses.both());
        self
    }

    /// With `externalTrafficPolicy: Local`.
    pub fn local(mut self) -> Self {
        self.local_traffic_policy = true;
        self
    }

    /// With `sessionAffinity: ClientIP`.
    pub fn affinity(mut self, seconds: u32) -> Self {
        self.affinity_seconds = Some(seconds);
        self
    }

    /// With packets to other nodes' endpoints encapsulated, and replies that leave there.
    pub fn dsr(mut self) -> Self {
        self.dsr = true;
        self
    }

    /// With one more endpoint, or the same one again.
    pub fn with(mut self, pod: &Pod) -> Self {
        self.endpoints.extend(Self::new("", [pod]).endpoints);
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
        let node_addresses = node.addresses.both();
        let node_port =
            self.node_port.into_iter().flat_map(|port| node_addresses.map(|address| (address, port)));
        vips.chain(node_port)
            .filter(|(address, _)| self.families.contains(&IpFamily::of(*address)))
            .flat_map(|(address, port)| {
                let address = (address, port).into();
                self.protocols().map(move |protocol| Target { protocol, address })
            })
            .collect()
    }

    /// The protocols of its ports.
    pub(super) fn protocols(&self) -> impl Iterator<Item = Protocol> + use<> {
        [Protocol::Tcp, Protocol::Udp].into_iter().chain(self.sctp.then_some(Protocol::Sctp))
    }

    /// The endpoints that a node is to send to, as far as hints do not matter: the ready ones, else those that still
    /// serve (KEP-1669).
    pub fn wanted(&self, node: &Node, family: IpFamily) -> BTreeSet<IpAddr> {
        let here = |endpoint: &&Endpoint| !self.local_traffic_policy || endpoint.node == node.name;
        let mine: Vec<_> = self.endpoints.iter().filter(here).collect();
        let addresses = |terminating: bool| -> BTreeSet<_> {
            let such = mine.iter().filter(|endpoint| endpoint.terminating == terminating);
            such.map(|endpoint| endpoint.addresses.of(family)).collect()
        };
        let ready = addresses(false);
        if ready.is_empty() { addresses(true) } else { ready }
    }

    /// The Service and its EndpointSlices as YAML documents.
    pub fn yaml(&self) -> String {
        let mut text = yaml::service(self);
        // The ports of a slice hold for all of its endpoints: host-network pods, on a port of their own, take another.
        let ports: BTreeSet<u16> = self.endpoints.iter().map(|endpoint| endpoint.port).collect();
        for (port, family) in ports.into_iter().flat_map(|port| self.families.iter().map(move |f| (port, *f)))
        {
            text.push_str(&yaml::slice(self, port, family));
        }
        text
    }
}
