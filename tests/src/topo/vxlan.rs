//! Pod networks over vxlan.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::Result;
use lb_model::object::IpFamily;

use super::{Layout, Node};
use crate::dual_stack::DualStack;

/// Addresses of a node's vxlan devices.
pub(super) fn addresses(number: u8) -> DualStack {
    DualStack {
        v4: Ipv4Addr::new(10, 244, number, 0),
        v6: Ipv6Addr::new(0xfd00, 0x10, 0x244, number.into(), 0, 0, 0, 0),
    }
}

/// As flannel's vxlan backend does: a device for each family, static neighbours and forwarding entries, no learning.
pub(super) fn set_up(node: &Node, other: &Node, layout: Layout) -> Result<()> {
    for (family, device, kind) in [(IpFamily::Ipv4, "flannel.1", 4), (IpFamily::Ipv6, "flannel-v6.1", 6)] {
        let mac = |node: &Node| format!("02:00:0a:f4:{:02x}:{kind:02x}", node.number);
        let (own, gateway) = (node.overlay_addresses().of(family), other.overlay_addresses().of(family));
        let bits = if own.is_ipv4() { 32 } else { 128 };
        node.namespace.ip(&format!(
            "link add {device} address {own_mac} mtu {mtu} type vxlan id 1 dev eth0 local {address} dstport 8472 \
             nolearning{checksums}\n\
             addr add {own}/{bits} dev {device}{nodad}\n\
             link set {device} up\n\
             neigh add {gateway} lladdr {mac} dev {device} nud permanent\n\
             route add {cidr} via {gateway} dev {device} onlink\n",
            own_mac = mac(node),
            mac = mac(other),
            mtu = layout.pod_mtu(),
            address = node.addresses.of(family),
            cidr = other.pod_cidrs()[usize::from(gateway.is_ipv6())],
            nodad = if own.is_ipv6() { " nodad" } else { "" },
            checksums = if own.is_ipv6() { " udp6zerocsumtx udp6zerocsumrx" } else { "" },
        ))?;
        append_forwarding_entry(node, device, &mac(other), other.addresses.of(family))?;
    }
    Ok(())
}

fn append_forwarding_entry(node: &Node, device: &str, mac: &str, remote: IpAddr) -> Result<()> {
    let entry = ["fdb", "append", mac, "dev", device, "dst", &remote.to_string()];
    node.namespace.run("bridge", &entry).map(drop)
}
