//! A namespace of the test's own with routes for `test_run`: FIB look-ups in it are the kernel's real ones.
//!
//! ```text
//! up0    192.0.2.1/24  2001:db8:2::1/64   next hop of clients   .254, ::fe (MAC known)
//! down0  10.0.0.1/24   fd10::1/64         next hop of node-b    .2, ::2    (MAC known), .3, ::3 (MAC unknown)
//! pod0                                    pods of this node: 10.244.1.0/24, fd10:244:1::/64
//! vxlan0 10.244.1.0/32 fd10:244:ff::1/64  pods behind the overlay: 10.244.4.0/24, fd10:244:4::/64
//! ```
//!
//! Pods N.0/24 of 10.244.0.0/16, and of fd10:244:N::/64: 2 behind node-b, 3 behind the unknown MAC, 5 behind node-b by a
//! narrow path, 6 nowhere.

use std::{
    fs::File,
    io::Write,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use lb_common::{
    address::Address,
    backend::{BACKEND_LOCAL, Backend},
    interface::{INTERFACE_OVERLAY, INTERFACE_XDP, Interface},
    service::ServiceKey,
};
use nix::sched::{CloneFlags, setns, unshare};

use crate::{
    pool::Pooled,
    prog::{Programs, Sizes},
};

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
/// The uplink's address.
pub const UPLINK: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
/// [`UPLINK`] in the other family.
pub const UPLINK_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 1);
/// [`NODE`] in the other family.
pub const NODE_V6: Ipv6Addr = Ipv6Addr::new(0xfd10, 0, 0, 0, 0, 0, 0, 1);
/// [`OVERLAY_ADDRESS`] in the other family.
pub const OVERLAY_V6: Ipv6Addr = Ipv6Addr::new(0xfd10, 0x244, 0xff, 0, 0, 0, 0, 1);
/// MAC of the clients' next hop.
pub const CLIENT_MAC: [u8; 6] = [2, 0, 0, 0, 1, 254];
/// MAC of node-b.
pub const NODE_B_MAC: [u8; 6] = [2, 0, 0, 0, 2, 2];

/// The namespace, as `ip -batch` reads it.
const DEVICES: &str = "\
link set lo up
link add up0 address 02:00:00:00:00:10 type veth peer name up1
link add down0 address 02:00:00:00:00:20 type veth peer name down1
link add pod0 address 02:00:00:00:00:30 type veth peer name pod1
link add vxlan0 address 02:00:00:00:00:40 type vxlan id 1 dstport 8472 dev down0 local 10.0.0.1
link set up0 addrgenmode none
link set down0 addrgenmode none
link set pod0 addrgenmode none
link set vxlan0 addrgenmode none
link set up1 up
link set down1 up
link set pod1 up
link set up0 up
link set down0 up
link set pod0 up
link set vxlan0 up
address add 192.0.2.1/24 dev up0
address add 10.0.0.1/24 dev down0
address add 10.244.1.0/32 dev vxlan0
address add 2001:db8:2::1/64 dev up0 nodad
address add fd10::1/64 dev down0 nodad
address add fd10:244:ff::1/64 dev vxlan0 nodad
route add default via 192.0.2.254
route add 10.244.1.0/24 dev pod0
route add 10.244.2.0/24 via 10.0.0.2
route add 10.244.3.0/24 via 10.0.0.3
route add 10.244.4.0/24 via 10.244.4.0 dev vxlan0 onlink
route add 10.244.5.0/24 via 10.0.0.2 mtu lock 1300
route add blackhole 10.244.6.0/24
route add default via 2001:db8:2::fe
route add fd10:244:1::/64 dev pod0
route add fd10:244:2::/64 via fd10::2
route add fd10:244:3::/64 via fd10::3
route add fd10:244:4::/64 via fd10:244:ff::4 dev vxlan0
route add fd10:244:5::/64 via fd10::2 mtu lock 1300
route add blackhole fd10:244:6::/64
neighbour add 192.0.2.254 lladdr 02:00:00:00:01:fe nud permanent dev up0
neighbour add 10.0.0.2 lladdr 02:00:00:00:02:02 nud permanent dev down0
neighbour add 10.244.1.5 lladdr 02:00:00:00:03:05 nud permanent dev pod0
neighbour add 10.244.4.0 lladdr 02:00:00:00:04:00 nud permanent dev vxlan0
neighbour add 2001:db8:2::fe lladdr 02:00:00:00:01:fe nud permanent dev up0
neighbour add fd10::2 lladdr 02:00:00:00:02:02 nud permanent dev down0
neighbour add fd10:244:1::5 lladdr 02:00:00:00:03:05 nud permanent dev pod0
neighbour add fd10:244:ff::4 lladdr 02:00:00:00:04:00 nud permanent dev vxlan0
";

/// Index of each device of the lab.
#[derive(Clone, Copy, Debug)]
pub struct Devices {
    /// Towards clients.
    pub up: u32,
    /// Towards other nodes.
    pub down: u32,
    /// Towards this node's pods; the programs know nothing of it.
    pub pod: u32,
    /// The overlay.
    pub overlay: u32,
}

/// Programs in a fresh namespace. The thread that made it stays in the namespace, which ends with the lab and the threads
/// in it.
pub struct Lab {
    /// The programs.
    pub programs: Pooled,
    /// The devices.
    pub devices: Devices,
    namespace: File,
}

impl Lab {
    /// Makes the namespace and loads the programs.
    ///
    /// # Errors
    /// Where a command or the kernel refuses.
    pub fn new(sizes: Sizes) -> Result<Self> {
        Self::with(|| Programs::load(sizes).map(Pooled::from))
    }

    /// As [`new`](Self::new) with maps of the default sizes, and with programs that an earlier lab of this process has
    /// loaded where there was one.
    ///
    /// # Errors
    /// As `new`.
    pub fn pooled() -> Result<Self> {
        Self::with(Pooled::take)
    }

    /// As [`new`](Self::new), with programs whose clock is fed.
    ///
    /// # Errors
    /// As `new`.
    pub fn with_fed_clock(sizes: Sizes) -> Result<Self> {
        Self::with(|| Programs::load_with(sizes, true).map(Pooled::from))
    }

    fn with(load: impl FnOnce() -> Result<Pooled>) -> Result<Self> {
        unshare(CloneFlags::CLONE_NEWNET).context("a network namespace of its own needs CAP_SYS_ADMIN")?;
        ip(DEVICES)?;
        for family in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
            std::fs::write(format!("/proc/sys/net/{family}"), "1").context("switching forwarding on")?;
        }
        let index = |name: &str| nix::net::if_::if_nametoindex(name).with_context(|| name.to_owned());
        let [up, down, pod, overlay] = ["up0", "down0", "pod0", "vxlan0"].map(index);
        let devices = Devices { up: up?, down: down?, pod: pod?, overlay: overlay? };
        let mut programs = load()?;
        let known = [
            (devices.up, UPLINK, UPLINK_V6, INTERFACE_XDP),
            (devices.down, NODE, NODE_V6, INTERFACE_XDP),
            (devices.overlay, OVERLAY_ADDRESS, OVERLAY_V6, INTERFACE_OVERLAY),
        ];
        for (ifindex, address, address6, flags) in known {
            let (address_be, address6_be) = (be(address), Address::from(IpAddr::V6(address6)).words_be);
            programs.set_interface(
                ifindex,
                Interface { address_be, address6_be, flags, ..Interface::default() },
            )?;
        }
        let namespace = File::open("/proc/thread-self/ns/net").context("the network namespace")?;
        Ok(Self { programs, devices, namespace })
    }

    /// Takes the calling thread into the namespace.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn enter(&self) -> Result<()> {
        setns(&self.namespace, CloneFlags::CLONE_NEWNET).context("entering the lab's network namespace")
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
