//! The rings that a frontend points to.

use lb_common::service::Service;

/// Who reads a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Packets from clients.
    Clients,
    /// Packets that another node has encapsulated: the ring holds this node's endpoints.
    Peers,
}

impl Role {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Clients, Self::Peers];
}

/// A ring as a frontend points to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingRef {
    /// Who reads it.
    pub role: Role,
    /// First chunk.
    pub chunk: u32,
    /// Slots.
    pub size: u32,
}

impl RingRef {
    /// The rings of a frontend, one for each role that has endpoints.
    pub fn of(service: &Service) -> impl Iterator<Item = Self> + Clone + use<> {
        let clients = Self { role: Role::Clients, chunk: service.ring, size: service.ring_size };
        let peers = Self { role: Role::Peers, chunk: service.local_ring, size: service.local_ring_size };
        [clients, peers].into_iter().filter(|ring| ring.size > 0)
    }
}
