//! What every link of the network has in common.

use anyhow::Result;

use crate::netns::Namespace;

/// Makes IPv6 addresses of devices that are yet to come usable at once, and keeps their hosts from asking for routers.
pub(super) fn addresses_at_once(namespace: &Namespace) -> Result<()> {
    for scope in ["all", "default"] {
        for (name, value) in [("accept_dad", "0"), ("accept_ra", "0"), ("router_solicitations", "0")] {
            namespace.sysctl(&format!("ipv6/conf/{scope}/{name}"), value)?;
        }
    }
    Ok(())
}

/// Lets a namespace forward packets of both families.
pub(super) fn forward(namespace: &Namespace) -> Result<()> {
    namespace.sysctl("ipv4/ip_forward", "1")?;
    namespace.sysctl("ipv6/conf/all/forwarding", "1")
}

/// Makes a veth behave like a wire between network cards: software checksums, frames of at most the MTU.
pub(super) fn wire(namespace: &Namespace, device: &str) -> Result<()> {
    namespace.run("ethtool", &["-K", device, "tx", "off", "tso", "off", "gso", "off", "gro", "off"]).map(drop)
}
