//! An uplink that a node gets and loses while it works: a cable of its own to the router.

use anyhow::Result;

use super::{CLIENT, Node, Topology, VIPS, link, router};
use crate::{dual_stack::DualStack, xdp_pass};

/// Its device, on the node.
pub const DEVICE: &str = "eth1";
/// The router's port.
const PORT: &str = "added";
/// The addresses of the router and of the node on this cable.
const ENDS: [DualStack; 2] = [
    DualStack::new([198, 18, 0, 1], [0x2001, 0xdb8, 0xb, 0, 0, 0, 0, 1]),
    DualStack::new([198, 18, 0, 2], [0x2001, 0xdb8, 0xb, 0, 0, 0, 0, 2]),
];

impl Topology {
    /// Plugs the cable in. What makes the node's end an uplink is a default route of each family, the last that the node
    /// takes.
    ///
    /// # Errors
    /// Where the node or the router refuses.
    pub fn add_uplink(&self, node: &Node) -> Result<()> {
        let (router, namespace, mtu) = (&self.router, &node.namespace, self.layout.mtu);
        router.ip(&format!(
            "link add {PORT} mtu {mtu} type veth peer name {DEVICE} netns {} mtu {mtu}\n",
            namespace.name()
        ))?;
        link::wire(router, PORT)?;
        link::wire(namespace, DEVICE)?;
        // What comes in here may be answered elsewhere.
        namespace.sysctl(&format!("ipv4/conf/{DEVICE}/rp_filter"), "2")?;
        for (end, device, DualStack { v4, v6 }) in [(router, PORT, ENDS[0]), (namespace, DEVICE, ENDS[1])] {
            end.ip(&format!(
                "addr add {v4}/30 dev {device}\naddr add {v6}/64 dev {device} nodad\nlink set {device} up\n"
            ))?;
        }
        xdp_pass::attach(router, &[PORT])?;
        let DualStack { v4, v6 } = ENDS[0];
        namespace
            .ip(&format!("route add default via {v4} metric 9000\nroute add default via {v6} metric 9000\n"))
    }

    /// Has the router send the VIPs along this cable, instead of where [`route_vips_to`](Self::route_vips_to) had it
    /// send them.
    ///
    /// # Errors
    /// Where the router refuses.
    pub fn route_vips_to_added_uplink(&self) -> Result<()> {
        router::route_by(&self.router, ENDS[1], VIPS)
    }

    /// Has the node answer the client along this cable, or no longer.
    ///
    /// # Errors
    /// Where the node refuses.
    pub fn answer_by_added_uplink(&self, node: &Node, yes: bool) -> Result<()> {
        let (command, DualStack { v4, v6 }) = (if yes { "add" } else { "del" }, ENDS[0]);
        let client = CLIENT;
        node.namespace
            .ip(&format!("route {command} {} via {v4}\nroute {command} {} via {v6}\n", client.v4, client.v6))
    }

    /// Pulls the cable out, at both ends.
    ///
    /// # Errors
    /// Where there is none.
    pub fn remove_uplink(&self, node: &Node) -> Result<()> {
        node.namespace.ip(&format!("link del {DEVICE}\n"))
    }
}
