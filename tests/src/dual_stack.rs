//! An address of each family.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use lb_model::object::IpFamily;

/// The two addresses of one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DualStack {
    /// Its IPv4 address.
    pub v4: Ipv4Addr,
    /// Its IPv6 address.
    pub v6: Ipv6Addr,
}

impl DualStack {
    /// A pair, as written.
    pub const fn new(v4: [u8; 4], v6: [u16; 8]) -> Self {
        let [a, b, c, d] = v4;
        let [s, t, u, v, w, x, y, z] = v6;
        Self { v4: Ipv4Addr::new(a, b, c, d), v6: Ipv6Addr::new(s, t, u, v, w, x, y, z) }
    }

    /// The address of a family.
    pub const fn of(self, family: IpFamily) -> IpAddr {
        match family {
            IpFamily::Ipv4 => IpAddr::V4(self.v4),
            IpFamily::Ipv6 => IpAddr::V6(self.v6),
        }
    }

    /// Both addresses.
    pub const fn both(self) -> [IpAddr; 2] {
        [IpAddr::V4(self.v4), IpAddr::V6(self.v6)]
    }
}
