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
//! Every box is a network namespace. The nodes reach each other's pods by static routes ([`Routing::Native`]) or
//! through a vxlan device set up as flannel does ([`Routing::Vxlan`]). Pods keep their devices' offloads, as real ones
//! do; on the wire between the machines every checksum is whole and no frame is longer than the MTU.

use std::{net::Ipv4Addr, sync::Arc};

use anyhow::Result;

use crate::{
    netns::{self, Namespace},
    pod::{self, Pod},
    xdp_pass,
};

/// The client's address.
pub const CLIENT: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 7);
/// A Service's address in `spec.externalIPs`.
pub const EXTERNAL_IP: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 10);
/// A Service's address in `status.loadBalancer`.
pub const LOAD_BALANCER_IP: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 20);
/// Every VIP of the tests lies here; the router sends all of it to one node.
pub const VIPS: &str = "203.0.113.0/24";
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

/// A node with its pods.
#[derive(Debug)]
pub struct Node {
    /// Its name in Kubernetes.
    pub name: &'static str,
    /// Its InternalIP.
    pub address: Ipv4Addr,
    /// Its pods.
    pub pods: Vec<Pod>,
    /// Its network.
    pub namespace: Arc<Namespace>,
    number: u8,
}

impl Node {
    /// `spec.podCIDR`.
    pub fn pod_cidr(&self) -> String {
        format!("10.244.{}.0/24", self.number)
    }

    /// Starts a pod of the host network, on [`HOST_PORT`].
    ///
    /// # Errors
    /// Where it does not come up.
    pub fn start_host_pod(&mut self, name: &str) -> Result<()> {
        let namespace = Arc::clone(&self.namespace);
        self.pods.push(Pod::start(name, self.name, self.address, HOST_PORT, namespace)?);
        Ok(())
    }

    /// The address of its vxlan device.
    pub fn overlay_address(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 244, self.number, 0)
    }

    fn vxlan_mac(&self) -> String {
        format!("02:00:0a:f4:{:02x}:00", self.number)
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
    /// How nodes reach each other's pods.
    pub routing: Routing,
}

impl Topology {
    /// Lays out a network under a name of its own, with `pods` pods on each node.
    ///
    /// # Errors
    /// Where a step fails; what was made is gone again.
    pub fn new(routing: Routing, pods: u8) -> Result<Self> {
        netns::remove_stale();
        Self::named(&netns::unique_name(), routing, pods)
    }

    /// As [`new`](Self::new), under a given name.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn named(name: &str, routing: Routing, pods: u8) -> Result<Self> {
        let make = |role: &str| Namespace::create(&format!("{name}-{role}"));
        let node = |node_name: &'static str, number: u8| -> Result<Node> {
            let namespace = Arc::new(make(node_name)?);
            let address = Ipv4Addr::new(192, 0, 2, 10 + number);
            Ok(Node { name: node_name, address, pods: Vec::new(), namespace, number })
        };
        let mut topology = Self {
            name: name.into(),
            nodes: [node("node-a", 1)?, node("node-b", 2)?],
            client: make("client")?,
            router: make("router")?,
            routing,
        };
        topology.lay_cables()?;
        topology.start_pods(pods)?;
        Ok(topology)
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

    /// Has the router send the VIPs to this node, as the announcement of a BGP or ARP speaker does.
    ///
    /// # Errors
    /// Where the router refuses.
    pub fn route_vips_to(&self, node: &Node) -> Result<()> {
        self.router.ip(&format!("route replace {VIPS} via {}", node.address))
    }

    fn lay_cables(&self) -> Result<()> {
        let router = self.router.name();
        let [a, b] = &self.nodes;
        let cable = |end: &Namespace, port: &str| {
            format!("link add eth0 netns {} type veth peer name {port} netns {router}\n", end.name())
        };
        self.router.ip(&[
            cable(&self.client, "client"),
            cable(&a.namespace, "node-a"),
            cable(&b.namespace, "node-b"),
        ]
        .concat())?;
        for namespace in [&self.client, &self.router, &a.namespace, &b.namespace] {
            namespace.sysctl("ipv6/conf/all/disable_ipv6", "1")?;
        }
        self.set_up_router()?;
        self.client.ip(&format!(
            "addr add {CLIENT}/24 dev eth0\nlink set eth0 up\nroute add default via 198.51.100.1\n"
        ))?;
        wire(&self.client, "eth0")?;
        set_up_node(a, b, self.routing)?;
        set_up_node(b, a, self.routing)
    }

    fn set_up_router(&self) -> Result<()> {
        self.router.sysctl("ipv4/ip_forward", "1")?;
        self.router.ip(&format!(
            "link add br0 type bridge\n\
             link set node-a master br0\n\
             link set node-b master br0\n\
             addr add 192.0.2.1/24 dev br0\n\
             addr add 198.51.100.1/24 dev client\n\
             link set br0 up\nlink set client up\nlink set node-a up\nlink set node-b up\n\
             route add {VIPS} via {}\n",
            self.nodes[0].address
        ))?;
        for port in ["client", "node-a", "node-b"] {
            wire(&self.router, port)?;
        }
        xdp_pass::attach(&self.router, &["node-a", "node-b"])
    }

    fn start_pods(&mut self, pods: u8) -> Result<()> {
        for node in &mut self.nodes {
            let letter = node.name.trim_start_matches("node-");
            for number in 1..=pods {
                let name = format!("pod-{letter}{number}");
                let address = Ipv4Addr::new(10, 244, node.number, 10 + number);
                let namespace = Arc::new(Namespace::create(&format!("{}-{name}", self.name))?);
                connect_pod(node, &name, address, &namespace, self.routing)?;
                node.pods.push(Pod::start(&name, node.name, address, pod::PORT, namespace)?);
            }
        }
        Ok(())
    }
}

/// Makes a veth behave like a wire between network cards: software checksums, frames of at most the MTU.
fn wire(namespace: &Namespace, device: &str) -> Result<()> {
    namespace.run("ethtool", &["-K", device, "tx", "off", "tso", "off", "gso", "off", "gro", "off"]).map(drop)
}

fn set_up_node(node: &Node, other: &Node, routing: Routing) -> Result<()> {
    let namespace = &node.namespace;
    namespace.sysctl("ipv4/ip_forward", "1")?;
    // Strict, the hardest a node comes with: a packet must arrive where an answer to it would leave.
    namespace.sysctl("ipv4/conf/all/rp_filter", "1")?;
    namespace.sysctl("ipv4/conf/default/rp_filter", "1")?;
    let (number, mtu) = (node.number, mtu(routing));
    namespace.ip(&format!(
        "addr add {address}/24 dev eth0\nlink set eth0 up\nroute add default via 192.0.2.1\n\
         link add cni0 mtu {mtu} type bridge\naddr add 10.244.{number}.1/24 dev cni0\nlink set cni0 up\n",
        address = node.address,
    ))?;
    wire(namespace, "eth0")?;
    match routing {
        Routing::Native => namespace.ip(&format!("route add {} via {}\n", other.pod_cidr(), other.address)),
        Routing::Vxlan => set_up_vxlan(node, other),
    }
}

/// As flannel's vxlan backend does: one device, static neighbours and forwarding entries, no learning.
fn set_up_vxlan(node: &Node, other: &Node) -> Result<()> {
    let (own_mac, mac) = (node.vxlan_mac(), other.vxlan_mac());
    let gateway = other.overlay_address();
    node.namespace.ip(&format!(
        "link add flannel.1 address {own_mac} mtu {mtu} type vxlan id 1 dev eth0 local {address} dstport 8472 nolearning\n\
         addr add {}/32 dev flannel.1\n\
         link set flannel.1 up\n\
         neigh add {gateway} lladdr {mac} dev flannel.1 nud permanent\n\
         route add {cidr} via {gateway} dev flannel.1 onlink\n",
        node.overlay_address(),
        address = node.address,
        mtu = mtu(Routing::Vxlan),
        cidr = other.pod_cidr(),
    ))?;
    let entry = ["fdb", "append", &mac, "dev", "flannel.1", "dst", &other.address.to_string()];
    node.namespace.run("bridge", &entry).map(drop)
}

fn connect_pod(
    node: &Node,
    name: &str,
    address: Ipv4Addr,
    namespace: &Namespace,
    routing: Routing,
) -> Result<()> {
    let mtu = mtu(routing);
    node.namespace.ip(&format!(
        "link add {name} mtu {mtu} type veth peer name eth0 mtu {mtu} netns {}\n\
         link set {name} master cni0\nlink set {name} up\n",
        namespace.name()
    ))?;
    namespace.sysctl("ipv6/conf/all/disable_ipv6", "1")?;
    namespace.ip(&format!(
        "addr add {address}/24 dev eth0\nlink set eth0 up\nroute add default via 10.244.{}.1\n",
        node.number
    ))
}

/// What is left of the segment's 1500 bytes: vxlan takes 50 (RFC 7348 §5).
fn mtu(routing: Routing) -> u32 {
    match routing {
        Routing::Native => 1500,
        Routing::Vxlan => 1450,
    }
}
