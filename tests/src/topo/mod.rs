//! The small network of the tests and of the demo.
//!
//! ```text
//!                        router                       node-a 192.0.2.11          pod-a1 10.244.1.11
//!  client ── 198.51.100.0/24 ── br0 192.0.2.1/24 ──┬── eth0 ─ cni0 10.244.1.1 ──┬─ pod-a2 10.244.1.12
//!  198.51.100.7         (routes the VIPs           │                            └─ …
//!                        to a node)                └── eth0 ─ cni0 10.244.2.1 ──── pod-b1 10.244.2.11 …
//!                                                     node-b 192.0.2.12
//! ```
//!
//! Every box is a network namespace, and everything has an IPv6 address too, with the same last number:
//! 2001:db8:c::/64 for the client, 2001:db8:a::/64 for the nodes, fd00:10:244:N::/64 for the pods of node N. The nodes
//! reach each other's pods by static routes ([`Routing::Native`]) or through vxlan devices set up as flannel does
//! ([`Routing::Vxlan`]). Pods keep their devices' offloads, as real ones do; on the wire between the machines every
//! checksum is whole and no frame is longer than the MTU.

mod cards;
mod link;
mod node;
mod order;
mod router;
pub mod second_uplink;
mod vxlan;

use std::{
    net::{Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use anyhow::Result;
use lb_model::object::IpFamily;

pub use node::Node;

use crate::{
    dual_stack::DualStack,
    netns::{self, Namespace},
    pod::Pod,
};

/// The client's addresses.
pub const CLIENT: DualStack = DualStack::new([198, 51, 100, 7], [0x2001, 0xdb8, 0xc, 0, 0, 0, 0, 7]);
/// The router's addresses on the client's segment.
const CLIENT_GATEWAY: DualStack = DualStack::new([198, 51, 100, 1], [0x2001, 0xdb8, 0xc, 0, 0, 0, 0, 1]);
/// A Service's addresses in `spec.externalIPs`.
pub const EXTERNAL_IP: DualStack = DualStack::new([203, 0, 113, 10], [0x2001, 0xdb8, 0xf, 0, 0, 0, 0, 0x10]);
/// A Service's addresses in `status.loadBalancer`.
pub const LOAD_BALANCER_IP: DualStack =
    DualStack::new([203, 0, 113, 20], [0x2001, 0xdb8, 0xf, 0, 0, 0, 0, 0x20]);
/// Every VIP of the tests lies here; the router sends all of it to one node.
pub const VIPS: [&str; 2] = ["203.0.113.0/24", "2001:db8:f::/64"];
/// Where a host-network pod of a node serves.
pub const HOST_PORT: u16 = 9000;

/// How nodes reach each other's pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Routing {
    /// Static routes over the nodes' own segment.
    Native,
    /// A vxlan device on each node.
    Vxlan,
}

/// What a network is to look like.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// How nodes reach each other's pods.
    pub routing: Routing,
    /// Pods on each node.
    pub pods: u8,
    /// The MTU of every link outside the nodes. Pods have at most 1500.
    pub mtu: u32,
    /// Each node has a second uplink, and its way to the client leads through it: what comes in by the first uplink is
    /// answered by the second.
    pub asymmetric: bool,
    /// The uplink of node-a is a network card of this machine.
    pub cards: bool,
}

impl Default for Layout {
    fn default() -> Self {
        Self { routing: Routing::Native, pods: 1, mtu: 1500, asymmetric: false, cards: false }
    }
}

impl Layout {
    /// What is left of a frame for pods: vxlan takes 50 bytes over IPv4 (RFC 7348 §5), 70 over IPv6.
    fn pod_mtu(self) -> u32 {
        match self.routing {
            Routing::Native => self.mtu.min(1500),
            Routing::Vxlan => self.mtu.min(1500) - 70,
        }
    }
}

/// The whole network; gone when dropped.
#[derive(Debug)]
pub struct Topology {
    /// What the names of all its namespaces start with.
    pub name: String,
    /// node-a and node-b.
    pub nodes: [Node; 2],
    /// Where requests come from.
    pub client: Namespace,
    /// Between the client and the nodes.
    pub router: Namespace,
    /// What it looks like.
    pub layout: Layout,
}

impl Topology {
    /// Lays out a network under a name of its own, with `pods` pods on each node.
    ///
    /// # Errors
    /// Where a step fails; what was made is gone again.
    pub fn new(routing: Routing, pods: u8) -> Result<Self> {
        Self::with(Layout { routing, pods, ..Layout::default() })
    }

    /// Lays out a network under a name of its own.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with(layout: Layout) -> Result<Self> {
        netns::remove_stale();
        Self::named(&netns::unique_name(), layout)
    }

    /// As [`with`](Self::with), under a given name.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn named(name: &str, layout: Layout) -> Result<Self> {
        let make = |role: &str| {
            let namespace = Namespace::create(&format!("{name}-{role}"))?;
            link::addresses_at_once(&namespace).map(|()| namespace)
        };
        let mut topology = Self {
            name: name.into(),
            nodes: [
                Node::new("node-a", 1, Arc::new(make("node-a")?)),
                Node::new("node-b", 2, Arc::new(make("node-b")?)),
            ],
            client: make("client")?,
            router: make("router")?,
            layout,
        };
        topology.lay_cables()?;
        for node in &mut topology.nodes {
            node.start_pods(name, layout)?;
        }
        Ok(topology)
    }

    /// Keeps the packets of each flow in order everywhere, as network cards do and veth pairs do not.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn keep_order(&self) -> Result<()> {
        let nodes = self.nodes.iter().map(|node| &*node.namespace);
        let pods = self.pods().map(Pod::namespace);
        [&self.client, &self.router].into_iter().chain(nodes).chain(pods).try_for_each(order::keep)
    }

    /// node-a, to which the VIPs are routed at first.
    pub fn node_a(&self) -> &Node {
        &self.nodes[0]
    }

    /// node-b.
    pub fn node_b(&self) -> &Node {
        &self.nodes[1]
    }

    /// Every pod.
    pub fn pods(&self) -> impl Iterator<Item = &Pod> {
        self.nodes.iter().flat_map(|node| &node.pods)
    }

    /// The pod of a name.
    ///
    /// # Panics
    /// Where there is none.
    pub fn pod(&mut self, name: &str) -> &mut Pod {
        match self.nodes.iter_mut().flat_map(|node| &mut node.pods).find(|pod| pod.name == name) {
            Some(pod) => pod,
            None => panic!("no pod {name}"),
        }
    }

    /// Brings a node's uplink up, with everything that the kernel took away when it went down.
    ///
    /// # Errors
    /// Where the node refuses.
    pub fn restore_uplink(&self, node: &Node) -> Result<()> {
        let other = self.nodes.iter().find(|other| other.name != node.name);
        other.map_or(Ok(()), |other| node::restore_uplink(node, other))
    }

    /// Has the router send the VIPs to this node, as the announcement of a BGP or ARP speaker does.
    ///
    /// # Errors
    /// Where the router refuses.
    pub fn route_vips_to(&self, node: &Node) -> Result<()> {
        router::route_to(&self.router, node, VIPS)
    }

    /// Has the router send the pod networks to their nodes, so that pods can be reached from outside.
    ///
    /// # Errors
    /// Where the router refuses.
    pub fn route_pods(&self) -> Result<()> {
        self.nodes.iter().try_for_each(|node| {
            let [cidr, cidr6] = node.pod_cidrs();
            router::route_to(&self.router, node, [&cidr, &cidr6])
        })
    }

    /// Makes the link from the router to the client narrow: the router answers longer packets with ICMP errors.
    ///
    /// # Errors
    /// Where the router refuses.
    pub fn narrow_towards_client(&self, mtu: u32) -> Result<()> {
        router::narrow_towards_client(&self.router, mtu)
    }

    /// Gives the client more addresses, which only sessions that ask for them have as their source.
    ///
    /// # Errors
    /// Where the client refuses.
    pub fn more_clients(&self, count: u8) -> Result<Vec<DualStack>> {
        let addresses: Vec<_> = (101..=100 + count)
            .map(|last| DualStack {
                v4: Ipv4Addr::new(198, 51, 100, last),
                v6: Ipv6Addr::new(0x2001, 0xdb8, 0xc, 0, 0, 0, 1, last.into()),
            })
            .collect();
        let lines = addresses.iter().map(|address| {
            // A deprecated address is no source but for those who ask for it (RFC 6724 §5, rule 3).
            format!(
                "addr add {}/24 dev eth0\naddr add {}/64 dev eth0 nodad preferred_lft 0\n",
                address.v4, address.v6
            )
        });
        self.client.ip(&lines.collect::<String>())?;
        Ok(addresses)
    }

    fn lay_cables(&self) -> Result<()> {
        router::connect(self)?;
        for (node, other) in [(0, 1), (1, 0)] {
            node::set_up(&self.nodes[node], &self.nodes[other], self.layout)?;
        }
        self.client.ip(&format!(
            "addr add {}/24 dev eth0\n\
             addr add {}/64 dev eth0 nodad\n\
             link set eth0 up\n\
             {}",
            CLIENT.v4,
            CLIENT.v6,
            default_routes(CLIENT_GATEWAY),
        ))?;
        // Sockets that ping, for every group (icmp(7)).
        self.client.sysctl("ipv4/ping_group_range", "0 2147483647")?;
        link::wire(&self.client, "eth0")
    }
}

/// Lines for `ip -batch` that set a default route of each family.
fn default_routes(gateways: DualStack) -> String {
    IpFamily::ALL.map(|family| format!("route add default via {}\n", gateways.of(family))).concat()
}
