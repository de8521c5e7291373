//! A node: its uplinks, the bridge of its pods, the pods.

use std::{
    net::{Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use anyhow::Result;

use super::{HOST_PORT, Layout, Routing, default_routes, link, vxlan};
use crate::{
    dual_stack::DualStack,
    netns::Namespace,
    pod::{self, Pod},
};

/// The router's addresses on the nodes' segment.
const GATEWAY: DualStack = DualStack::new([192, 0, 2, 1], [0x2001, 0xdb8, 0xa, 0, 0, 0, 0, 1]);

/// A node with its pods.
#[derive(Debug)]
pub struct Node {
    /// Its name in Kubernetes.
    pub name: &'static str,
    /// Its InternalIPs.
    pub addresses: DualStack,
    /// Its pods.
    pub pods: Vec<Pod>,
    /// Its network.
    pub namespace: Arc<Namespace>,
    pub(super) number: u8,
}

impl Node {
    pub(super) fn new(name: &'static str, number: u8, namespace: Arc<Namespace>) -> Self {
        let last = 10 + number;
        let addresses = DualStack {
            v4: Ipv4Addr::new(192, 0, 2, last),
            v6: Ipv6Addr::new(0x2001, 0xdb8, 0xa, 0, 0, 0, 0, hexadecimal(last)),
        };
        Self { name, addresses, pods: Vec::new(), namespace, number }
    }

    /// `spec.podCIDRs`.
    pub fn pod_cidrs(&self) -> [String; 2] {
        let number = self.number;
        [format!("10.244.{number}.0/24"), format!("fd00:10:244:{number}::/64")]
    }

    /// Its label `topology.kubernetes.io/zone`: each node is a zone of its own.
    pub fn zone(&self) -> String {
        self.name.replace("node", "zone")
    }

    /// Starts a pod of the host network, on [`HOST_PORT`].
    ///
    /// # Errors
    /// Where it does not come up.
    pub fn start_host_pod(&mut self, name: &str) -> Result<()> {
        let namespace = Arc::clone(&self.namespace);
        self.pods.push(Pod::start(name, self.name, self.addresses, HOST_PORT, namespace)?);
        Ok(())
    }

    /// The addresses of its vxlan devices.
    pub fn overlay_addresses(&self) -> DualStack {
        vxlan::addresses(self.number)
    }

    /// Makes the way from the node to its pods narrow: the node answers longer packets with ICMP errors.
    ///
    /// # Errors
    /// Where the node refuses.
    pub fn narrow_towards_pods(&self, mtu: u32) -> Result<()> {
        let [cidr, cidr6] = self.pod_cidrs();
        self.namespace.ip(&format!(
            "route replace {cidr} dev cni0 src 10.244.{}.1 mtu {mtu}\n\
             route del {cidr6} dev cni0\n\
             route add {cidr6} dev cni0 mtu {mtu}\n",
            self.number
        ))
    }

    pub(super) fn start_pods(&mut self, network: &str, layout: Layout) -> Result<()> {
        let letter = self.name.trim_start_matches("node-");
        for number in 1..=layout.pods {
            let name = format!("pod-{letter}{number}");
            let addresses = self.pod_addresses(10 + number);
            let namespace = Arc::new(Namespace::create(&format!("{network}-{name}"))?);
            self.connect_pod(&name, addresses, &namespace, layout)?;
            self.pods.push(Pod::start(&name, self.name, addresses, pod::PORT, namespace)?);
        }
        Ok(())
    }

    fn pod_addresses(&self, last: u8) -> DualStack {
        let number = self.number;
        DualStack {
            v4: Ipv4Addr::new(10, 244, number, last),
            v6: Ipv6Addr::new(0xfd00, 0x10, 0x244, number.into(), 0, 0, 0, hexadecimal(last)),
        }
    }

    fn connect_pod(
        &self,
        name: &str,
        addresses: DualStack,
        namespace: &Namespace,
        layout: Layout,
    ) -> Result<()> {
        link::addresses_at_once(namespace)?;
        let mtu = layout.pod_mtu();
        self.namespace.ip(&format!(
            "link add {name} mtu {mtu} type veth peer name eth0 mtu {mtu} netns {}\n\
             link set {name} master cni0\nlink set {name} up\n",
            namespace.name()
        ))?;
        namespace.ip(&format!(
            "addr add {}/24 dev eth0\naddr add {}/64 dev eth0 nodad\nlink set eth0 up\n{}",
            addresses.v4,
            addresses.v6,
            default_routes(self.pod_addresses(1)),
        ))
    }
}

/// The number that reads the same in hexadecimal as `number` does in decimal: 11 becomes 0x11.
fn hexadecimal(number: u8) -> u16 {
    u16::from(number / 10) * 16 + u16::from(number % 10)
}

/// Brings a node up whose uplinks are plugged in.
pub(super) fn set_up(node: &Node, other: &Node, layout: Layout) -> Result<()> {
    let Node { namespace, number, addresses, .. } = node;
    link::forward(namespace)?;
    // Strict where it can be, the hardest a node comes with: a packet must arrive where an answer to it would leave.
    let rp_filter = if layout.asymmetric { "2" } else { "1" };
    namespace.sysctl("ipv4/conf/all/rp_filter", rp_filter)?;
    namespace.sysctl("ipv4/conf/default/rp_filter", rp_filter)?;
    namespace.ip(&format!(
        "addr add {}/24 dev eth0\naddr add {}/64 dev eth0 nodad\nlink set eth0 up\n{}\
         link add cni0 mtu {} type bridge\n\
         addr add 10.244.{number}.1/24 dev cni0\naddr add fd00:10:244:{number}::1/64 dev cni0 nodad\n\
         link set cni0 up\n",
        addresses.v4,
        addresses.v6,
        default_routes(GATEWAY),
        layout.pod_mtu(),
    ))?;
    link::wire(namespace, "eth0")?;
    if layout.asymmetric {
        namespace.ip(&format!(
            "addr add 198.18.0.1{number}/24 dev eth1\naddr add 2001:db8:b::1{number}/64 dev eth1 nodad\n\
             link set eth1 up\n\
             route add 198.51.100.0/24 via 198.18.0.1\nroute add 2001:db8:c::/64 via 2001:db8:b::1\n"
        ))?;
        link::wire(namespace, "eth1")?;
    }
    match layout.routing {
        Routing::Native => set_up_routes(node, other),
        Routing::Vxlan => vxlan::set_up(node, other, layout),
    }
}

/// IPv6 addresses and every route by a gateway go when a device goes down (`addrconf_ifdown`, `fib_disable_ip`).
pub(super) fn restore_uplink(node: &Node, other: &Node) -> Result<()> {
    node.namespace.ip(&format!(
        "link set eth0 up\naddr replace {}/64 dev eth0 nodad\n{}",
        node.addresses.v6,
        default_routes(GATEWAY)
    ))?;
    set_up_routes(node, other)
}

fn set_up_routes(node: &Node, other: &Node) -> Result<()> {
    let [cidr, cidr6] = other.pod_cidrs();
    let gateway = other.addresses;
    node.namespace.ip(&format!("route add {cidr} via {}\nroute add {cidr6} via {}\n", gateway.v4, gateway.v6))
}
