//! The [lab](crate::lab)'s routes, as `bpf_fib_lookup` tells them.

use std::net::IpAddr;

use lb_common::{
    address::Address,
    pipeline::{FIB_NO_NEIGHBOUR, FIB_NOT_FORWARDED, FIB_SUCCESS, Route},
};

use crate::lab::Devices;

/// `BPF_FIB_LKUP_RET_BLACKHOLE`.
const FIB_BLACKHOLE: i64 = 1;

/// Where a route leads.
#[derive(Clone, Copy)]
enum Way {
    Clients,
    NodeB,
    Narrow,
    Pod,
    Overlay,
    /// The next hop's MAC address is not known.
    Unresolved(Out),
    Own,
    Blackhole,
}

#[derive(Clone, Copy)]
enum Out {
    Up,
    Down,
    Pod,
    Overlay,
}

/// Destination, way, preferred source.
const ROUTES: [(&str, Way, &str); 40] = [
    ("0.0.0.0/0", Way::Clients, "192.0.2.1"),
    ("192.0.2.0/24", Way::Unresolved(Out::Up), "192.0.2.1"),
    ("192.0.2.254/32", Way::Clients, "192.0.2.1"),
    ("192.0.2.1/32", Way::Own, ""),
    ("192.0.2.255/32", Way::Own, ""),
    ("10.0.0.0/24", Way::Unresolved(Out::Down), "10.0.0.1"),
    ("10.0.0.2/32", Way::NodeB, "10.0.0.1"),
    ("10.0.0.1/32", Way::Own, ""),
    ("10.0.0.255/32", Way::Own, ""),
    ("127.0.0.0/8", Way::Own, ""),
    ("10.244.1.0/24", Way::Unresolved(Out::Pod), ""),
    ("10.244.1.0/32", Way::Own, ""),
    ("10.244.1.5/32", Way::Pod, ""),
    ("10.244.2.0/24", Way::NodeB, "10.0.0.1"),
    ("10.244.3.0/24", Way::Unresolved(Out::Down), "10.0.0.1"),
    ("10.244.4.0/24", Way::Overlay, "10.244.1.0"),
    ("10.244.5.0/24", Way::Narrow, "10.0.0.1"),
    ("10.244.6.0/24", Way::Blackhole, ""),
    ("::/0", Way::Clients, "2001:db8:2::1"),
    ("2001:db8:2::/64", Way::Unresolved(Out::Up), "2001:db8:2::1"),
    ("2001:db8:2::fe/128", Way::Clients, "2001:db8:2::1"),
    ("2001:db8:2::1/128", Way::Own, ""),
    // With forwarding on, the first address of a subnet is its routers' (RFC 4291 section 2.6.1).
    ("2001:db8:2::/128", Way::Own, ""),
    ("fd10::/64", Way::Unresolved(Out::Down), "fd10::1"),
    ("fd10::2/128", Way::NodeB, "fd10::1"),
    ("fd10::1/128", Way::Own, ""),
    ("fd10::/128", Way::Own, ""),
    ("ff00::/8", Way::Own, ""),
    ("::1/128", Way::Own, ""),
    ("fd10:244:ff::/64", Way::Unresolved(Out::Overlay), "fd10:244:ff::1"),
    ("fd10:244:ff::/128", Way::Own, ""),
    ("fd10:244:ff::1/128", Way::Own, ""),
    ("fd10:244:ff::4/128", Way::Overlay, "fd10:244:ff::1"),
    ("fd10:244:1::/64", Way::Unresolved(Out::Pod), ""),
    ("fd10:244:1::5/128", Way::Pod, ""),
    ("fd10:244:2::/64", Way::NodeB, "fd10::1"),
    ("fd10:244:3::/64", Way::Unresolved(Out::Down), "fd10::1"),
    ("fd10:244:4::/64", Way::Overlay, "fd10:244:ff::1"),
    ("fd10:244:5::/64", Way::Narrow, "fd10::1"),
    ("fd10:244:6::/64", Way::Blackhole, ""),
];

/// Every route: destination, bits, what the kernel says of it.
pub(super) fn routes(devices: &Devices) -> impl Iterator<Item = (Address, u32, Route<Address>)> {
    ROUTES.into_iter().filter_map(|(prefix, way, source)| {
        let (address, bits) = prefix.split_once('/')?;
        let address: IpAddr = address.parse().ok()?;
        let source = source.parse().map_or(Address::NONE, |source: IpAddr| source.into());
        Some((address.into(), bits.parse().ok()?, route(way, source, devices)))
    })
}

fn route(way: Way, source_be: Address, devices: &Devices) -> Route<Address> {
    let failed = |code| Route { code, ifindex: 0, macs: [0; 3], source_be: Address::NONE, mtu: 0 };
    let via =
        |ifindex, to, from, mtu| Route { code: FIB_SUCCESS, ifindex, macs: macs(to, from), source_be, mtu };
    match way {
        Way::Clients => via(devices.up, [1, 0xfe], 0x10, 1500),
        Way::NodeB => via(devices.down, [2, 2], 0x20, 1500),
        Way::Narrow => via(devices.down, [2, 2], 0x20, 1300),
        Way::Pod => via(devices.pod, [3, 5], 0x30, 1500),
        Way::Overlay => via(devices.overlay, [4, 0], 0x40, 1450),
        Way::Unresolved(out) => {
            let ifindex = match out {
                Out::Up => devices.up,
                Out::Down => devices.down,
                Out::Pod => devices.pod,
                Out::Overlay => devices.overlay,
            };
            Route { code: FIB_NO_NEIGHBOUR, ifindex, macs: [0; 3], source_be, mtu: 0 }
        }
        Way::Own => failed(FIB_NOT_FORWARDED),
        Way::Blackhole => failed(FIB_BLACKHOLE),
    }
}

/// The head of a frame to the station `02:00:00:00:TO` from the lab's device `02:00:00:00:00:FROM`.
const fn macs(to: [u8; 2], from: u8) -> [u32; 3] {
    [
        u32::from_ne_bytes([2, 0, 0, 0]),
        u32::from_ne_bytes([to[0], to[1], 2, 0]),
        u32::from_ne_bytes([0, 0, 0, from]),
    ]
}
