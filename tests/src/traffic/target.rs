//! Where a request goes.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
};

use lb_model::object::{IpFamily, Protocol};

/// A frontend, or any other address and port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    /// TCP or UDP.
    pub protocol: Protocol,
    /// Address and port.
    pub address: SocketAddr,
}

impl Target {
    /// A TCP port.
    pub const fn tcp(address: IpAddr, port: u16) -> Self {
        Self { protocol: Protocol::Tcp, address: SocketAddr::new(address, port) }
    }

    /// A UDP port.
    pub const fn udp(address: IpAddr, port: u16) -> Self {
        Self { protocol: Protocol::Udp, address: SocketAddr::new(address, port) }
    }

    /// The address family.
    pub const fn family(self) -> IpFamily {
        IpFamily::of(self.address.ip())
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.protocol, self.address)
    }
}
