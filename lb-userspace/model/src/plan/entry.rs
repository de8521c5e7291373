//! What the maps hold for one Service port.

use lb_common::{
    address::Address,
    ring,
    service::{SERVICE_EXTERNAL_IP, SERVICE_LOAD_BALANCER, Service},
    source_range::SourceRangeKey,
};

use crate::{
    desired::{DesiredService, Frontend},
    ring_ref::Role,
};

/// Where the rings of a Service port begin; 0 for one without slots.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Chunks {
    clients: u32,
    peers: u32,
}

impl Chunks {
    pub(super) fn set(&mut self, role: Role, chunk: u32) {
        match role {
            Role::Clients => self.clients = chunk,
            Role::Peers => self.peers = chunk,
        }
    }
}

impl DesiredService {
    /// The entry of `services` for one of its frontends.
    pub(super) fn entry(&self, id: u32, frontend: &Frontend, chunks: Chunks) -> Service {
        Service {
            id,
            flags: frontend.flags,
            ring: chunks.clients,
            ring_size: ring::size_for(self.members.len()),
            local_ring: chunks.peers,
            local_ring_size: ring::size_for(self.local_members.len()),
            affinity: self.affinity_seconds,
            _pad: 0,
        }
    }

    /// The entries of `source_ranges`.
    pub(super) fn source_range_keys(&self, id: u32) -> impl Iterator<Item = SourceRangeKey> {
        self.source_ranges
            .iter()
            .map(move |range| SourceRangeKey::new(id, Address::from(range.network()), range.length()))
    }

    /// Addresses of frontends that are not the node's own (the guard of [`desired`](crate::desired) sees to that).
    pub(super) fn vips(&self) -> impl Iterator<Item = Address> {
        let kinds = SERVICE_EXTERNAL_IP | SERVICE_LOAD_BALANCER;
        self.frontends
            .iter()
            .filter(move |frontend| frontend.flags & kinds != 0)
            .map(|frontend| frontend.key.address)
    }
}
