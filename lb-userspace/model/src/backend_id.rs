//! What makes an endpoint the same endpoint.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
};

use lb_common::{address::Address, backend::Backend, maglev::Member};
use serde::Serialize;

use crate::{desired::DesiredBackend, object::Protocol};

/// Identity of an endpoint, in the order in which endpoints enter a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct BackendId {
    /// Address.
    pub address: IpAddr,
    /// Port.
    pub port: u16,
    /// Protocol.
    pub protocol: Protocol,
}

impl BackendId {
    /// The endpoint that an entry of `backends` holds; none where the entry is free or of a foreign protocol.
    pub fn of(backend: &Backend) -> Option<Self> {
        let protocol = Protocol::from_number(backend.protocol).filter(|_| !backend.address.is_none())?;
        Some(Self { address: backend.address.into(), port: u16::from_be(backend.port_be), protocol })
    }

    /// Address and port.
    pub fn socket(self) -> SocketAddr {
        SocketAddr::new(self.address, self.port)
    }

    /// What the ring is built from.
    pub fn member(self) -> Member {
        Member { address: Address::from(self.address), port_be: self.port.to_be() }
    }

    /// The entry of `backends` for this endpoint.
    pub fn entry(self, backend: DesiredBackend, generation: u32) -> Backend {
        let Member { address, port_be } = self.member();
        Backend {
            address,
            port_be,
            protocol: self.protocol.number(),
            flags: backend.flags,
            node: backend.node.map(Address::from).unwrap_or_default(),
            generation,
        }
    }
}

impl fmt::Display for BackendId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.socket(), self.protocol)
    }
}
