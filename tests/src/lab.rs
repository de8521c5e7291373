//! A namespace of the test's own with routes for `test_run`: FIB look-ups in it are the kernel's real ones.
//!
//! ```text
//! up0   192.0.2.1/24    next hop of clients   192.0.2.254 (MAC known)
//! down0 10.0.0.1/24     next hop of node-b    10.0.0.2    (MAC known), 10.0.0.3 (MAC unknown)
//! ```

use std::{
    io::Write,
    net::{IpAddr, Ipv4Addr},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use lb_common::{
    backend::{BACKEND_LOCAL, Backend},
    interface::{INTERFACE_OVERLAY, INTERFACE_XDP, Interface},
    service::ServiceKey,
};
use nix::sched::{CloneFlags, unshare};

use crate::prog::{Programs, Sizes};

/// Address of a client, reached through `up0`.
pub const CLIENT: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 7);
/// An external IP.
pub const VIP: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 10);
/// Another external IP.
pub const OTHER_VIP: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 11);
/// A pod on this node.
pub const LOCAL_POD: Ipv4Addr = Ipv4Addr::new(10, 244, 1, 5);
/// A pod on node-b, behind 10.0.0.2.
pub const REMOTE_POD: Ipv4Addr = Ipv4Addr::new(10, 244, 2, 5);
/// A pod behind 10.0.0.3, whose MAC is unknown.
pub const UNRESOLVED_POD: Ipv4Addr = Ipv4Addr::new(10, 244, 3, 5);
/// A pod behind the overlay device.
pub const OVERLAY_POD: Ipv4Addr = Ipv4Addr::new(10, 244, 4, 5);
/// The source that the kernel would choose towards node-b.
pub const NODE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
/// The overlay device's address.
pub const OVERLAY_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 244, 1, 0);
/// MAC of the clients' next hop.
pub const CLIENT_MAC: [u8; 6] = [2, 0, 0, 0, 1, 254];
/// MAC of node-b.
pub const NODE_B_MAC: [u8; 6] = [2, 0, 0, 0, 2, 2];

/// The namespace, as `ip -batch` reads it.
const DEVICES: &str = "\
link set lo up
link add up0 type veth peer name up1
link add down0 type veth peer name down1
link add vxlan0 type vxlan id 1 dstport 8472 dev down0 local 10.0.0.1
link set up1 up
link set down1 up
link set up0 up
link set down0 up
link set vxlan0 up
address add 192.0.2.1/24 dev up0
address add 10.0.0.1/24 dev down0
address add 10.244.1.0/32 dev vxlan0
route add default via 192.0.2.254
route add 10.244.2.0/24 via 10.0.0.2
route add 10.244.3.0/24 via 10.0.0.3
route add 10.244.4.0/24 via 10.244.4.0 dev vxlan0 onlink
neighbour add 192.0.2.254 lladdr 02:00:00:00:01:fe nud permanent dev up0
neighbour add 10.0.0.2 lladdr 02:00:00:00:02:02 nud permanent dev down0
neighbour add 10.244.4.0 lladdr 02:00:00:00:04:00 nud permanent dev vxlan0
";

/// Index of each device of the lab.
#[derive(Clone, Copy, Debug)]
pub struct Devices {
    /// Towards clients.
    pub up: u32,
    /// Towards other nodes.
    pub down: u32,
    /// The overlay.
    pub overlay: u32,
}

/// Programs in a fresh namespace. The thread that made it stays in the namespace, which ends with the thread.
pub struct Lab {
    /// The programs.
    pub programs: Programs,
    /// The devices.
    pub devices: Devices,
}

impl Lab {
    /// Makes the namespace and loads the programs.
    ///
    /// # Errors
    /// Where a command or the kernel refuses.
    pub fn new(sizes: Sizes) -> Result<Self> {
        unshare(CloneFlags::CLONE_NEWNET).context("a network namespace of its own needs CAP_SYS_ADMIN")?;
        ip(DEVICES)?;
        std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").context("switching forwarding on")?;
        let index = |name: &str| nix::net::if_::if_nametoindex(name).with_context(|| name.to_owned());
        let devices = Devices { up: index("up0")?, down: index("down0")?, overlay: index("vxlan0")? };
        let mut programs = Programs::load(sizes)?;
        let known = [
            (devices.up, Ipv4Addr::new(192, 0, 2, 1), INTERFACE_XDP),
            (devices.down, NODE, INTERFACE_XDP),
            (devices.overlay, OVERLAY_ADDRESS, INTERFACE_OVERLAY),
        ];
        for (ifindex, address, flags) in known {
            programs.set_interface(
                ifindex,
                Interface { address_be: be(address), flags, ..Interface::default() },
            )?;
        }
        Ok(Self { programs, devices })
    }
}

/// Runs `ip` commands, one a line, in the thread's namespace.
///
/// # Errors
/// With what `ip` printed.
pub fn ip(commands: &str) -> Result<()> {
    let mut child = Command::new("ip")
        .args(["-batch", "-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("running ip (iproute2)")?;
    child.stdin.take().context("no pipe")?.write_all(commands.as_bytes())?;
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "ip: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// An address in network byte order.
pub fn be(address: Ipv4Addr) -> u32 {
    u32::from_ne_bytes(address.octets())
}

/// A frontend's key.
pub fn frontend(address: Ipv4Addr, port: u16, protocol: u8) -> ServiceKey {
    ServiceKey::new(IpAddr::V4(address).into(), port.to_be(), protocol)
}

/// An endpoint of generation 1; on this node where the address is the local pod's.
pub fn endpoint(address: Ipv4Addr, port: u16, protocol: u8) -> Backend {
    let flags = if address == LOCAL_POD { BACKEND_LOCAL } else { 0 };
    let address = IpAddr::V4(address).into();
    Backend { address, port_be: port.to_be(), protocol, flags, generation: 1, ..Backend::default() }
}
