//! Frontends: what a client addresses.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::address::Address;

/// Address, port and protocol of a frontend, 20 bytes.
///
/// Port 0 with protocol 0 is the catch-all of a VIP that the node does not own: it answers for every port without a
/// frontend of its own, so that a routed VIP cannot loop.
#[repr(C)]
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
)]
pub struct ServiceKey {
    /// Address.
    pub address: Address,
    /// TCP, UDP or SCTP port, network byte order.
    pub port_be: u16,
    /// IP protocol number.
    pub protocol: u8,
    /// Zero.
    pub _pad: u8,
}

impl ServiceKey {
    /// A frontend's key.
    #[inline(always)]
    pub const fn new(address: Address, port_be: u16, protocol: u8) -> Self {
        Self { address, port_be, protocol, _pad: 0 }
    }

    /// The key under which a VIP's catch-all is kept.
    #[inline(always)]
    pub const fn catch_all(address: Address) -> Self {
        Self::new(address, 0, 0)
    }
}

/// Drop silently where there is no endpoint, instead of answering: `externalTrafficPolicy: Local` (kube-proxy drops).
pub const SERVICE_SILENT: u32 = 1 << 0;
/// This entry is a VIP's catch-all, see [`ServiceKey::catch_all`].
pub const SERVICE_CATCH_ALL: u32 = 1 << 1;
/// The frontend is a NodePort.
pub const SERVICE_NODE_PORT: u32 = 1 << 2;
/// The frontend is one of `spec.externalIPs`.
pub const SERVICE_EXTERNAL_IP: u32 = 1 << 3;
/// The frontend is one of `status.loadBalancer.ingress[].ip`.
pub const SERVICE_LOAD_BALANCER: u32 = 1 << 4;
/// `externalTrafficPolicy: Local`: the ring holds this node's endpoints only.
pub const SERVICE_LOCAL: u32 = 1 << 5;

/// The client's address must be in `source_ranges` (`spec.loadBalancerSourceRanges`).
pub const SERVICE_SOURCE_RANGES: u32 = 1 << 6;
/// Packets to endpoints of other nodes are encapsulated, not translated: the endpoint's node does that, and replies
/// leave from there (direct server return).
pub const SERVICE_DSR: u32 = 1 << 7;

/// What a frontend leads to, 32 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Service {
    /// Number of the Service port; index of `service_stats`, key of `names`. Several frontends share one.
    pub id: u32,
    /// `SERVICE_*` bits.
    pub flags: u32,
    /// First chunk of the ring in `rings`.
    pub ring: u32,
    /// Slots of the ring, a prime of [`ring::SIZES`](crate::ring::SIZES); 0 where there is no endpoint.
    pub ring_size: u32,
    /// As `ring`, of this node's endpoints: for packets that another node has encapsulated ([`SERVICE_DSR`]).
    pub local_ring: u32,
    /// As `ring_size`, of this node's endpoints.
    pub local_ring_size: u32,
    /// Seconds for which a client keeps its endpoint (`sessionAffinityConfig.clientIP.timeoutSeconds`); 0 where it
    /// does not.
    pub affinity: u32,
    /// Zero.
    pub _pad: u32,
}
