//! The router: a bridge for each segment of the nodes, a port for the client.

use anyhow::Result;

use super::{Node, Topology, VIPS, cards, link};
use crate::{dual_stack::DualStack, netns::Namespace, xdp_pass};

/// The bridge of the nodes' first uplinks, and its addresses.
const SEGMENT: [&str; 3] = ["br0", "192.0.2.1/24", "2001:db8:a::1/64"];
/// The bridge of the second ones.
const SECOND_SEGMENT: [&str; 3] = ["br1", "198.18.0.1/24", "2001:db8:b::1/64"];

/// Plugs the client and the nodes in, and brings the router up.
pub(super) fn connect(topology: &Topology) -> Result<()> {
    let Topology { router, client, nodes, layout, .. } = topology;
    let mtu = layout.mtu;
    link::forward(router)?;
    let cable = |end: &Namespace, device: &str, port: &str| {
        format!(
            "link add {device} netns {} mtu {mtu} type veth peer name {port} netns {} mtu {mtu}\n",
            end.name(),
            router.name()
        )
    };
    router.ip(&(cable(client, "eth0", "client")
        + "addr add 198.51.100.1/24 dev client\n\
           addr add 2001:db8:c::1/64 dev client nodad\n\
           link set client up\n"))?;
    link::wire(router, "client")?;
    let uplinks = [("eth0", "", SEGMENT), ("eth1", "-second", SECOND_SEGMENT)];
    for (device, suffix, segment) in &uplinks[..if layout.asymmetric { 2 } else { 1 }] {
        let ports = nodes.each_ref().map(|node| format!("{}{suffix}", node.name));
        // Only a veth asks its peer for a program.
        let first_veth = usize::from(layout.cards);
        if layout.cards {
            cards::plug([(&nodes[0].namespace, device), (router, &ports[0])])?;
        }
        let cables: String = (first_veth..2).map(|i| cable(&nodes[i].namespace, device, &ports[i])).collect();
        router.ip(&(cables + &bridge(segment, &ports)))?;
        ports.iter().try_for_each(|port| link::wire(router, port))?;
        let veths: Vec<&str> = ports[first_veth..].iter().map(String::as_str).collect();
        xdp_pass::attach(router, &veths)?;
    }
    route_to(router, &nodes[0], VIPS)
}

fn bridge([name, address, address6]: &[&str; 3], ports: &[String; 2]) -> String {
    let ports: String =
        ports.iter().map(|port| format!("link set {port} master {name}\nlink set {port} up\n")).collect();
    format!(
        "link add {name} type bridge\n\
         {ports}\
         addr add {address} dev {name}\n\
         addr add {address6} dev {name} nodad\n\
         link set {name} up\n"
    )
}

/// Sends a network of each family to a node.
pub(super) fn route_to(router: &Namespace, node: &Node, cidrs: [&str; 2]) -> Result<()> {
    route_by(router, node.addresses, cidrs)
}

/// Sends a network of each family to a gateway.
pub(super) fn route_by(router: &Namespace, gateway: DualStack, [cidr, cidr6]: [&str; 2]) -> Result<()> {
    router.ip(&format!("route replace {cidr} via {}\nroute replace {cidr6} via {}\n", gateway.v4, gateway.v6))
}

/// The MTU of a route counts when packets are forwarded along it (`ip_dst_mtu_maybe_forward` in include/net/ip.h).
pub(super) fn narrow_towards_client(router: &Namespace, mtu: u32) -> Result<()> {
    router.ip(&format!(
        "route replace 198.51.100.0/24 dev client src 198.51.100.1 mtu {mtu}\n\
         route del 2001:db8:c::/64 dev client\n\
         route add 2001:db8:c::/64 dev client mtu {mtu}\n"
    ))
}
