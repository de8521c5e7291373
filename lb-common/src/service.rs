//! Frontends: what a client addresses.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Address, port and protocol of a frontend, 8 bytes.
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
    /// IPv4 address, network byte order.
    pub address_be: u32,
    /// TCP or UDP port, network byte order.
    pub port_be: u16,
    /// IP protocol number.
    pub protocol: u8,
    /// Zero.
    pub _pad: u8,
}

impl ServiceKey {
    /// A frontend's key.
    #[inline(always)]
    pub const fn new(address_be: u32, port_be: u16, protocol: u8) -> Self {
        Self { address_be, port_be, protocol, _pad: 0 }
    }

    /// The key under which a VIP's catch-all is kept.
    #[inline(always)]
    pub const fn catch_all(address_be: u32) -> Self {
        Self::new(address_be, 0, 0)
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

/// What a frontend leads to, 16 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Service {
    /// Number of the Service port; index of `service_stats`, key of `names`. Several frontends share one.
    pub id: u32,
    /// First chunk of the ring in `rings`.
    pub ring: u32,
    /// Slots of the ring, a prime of [`ring::SIZES`](crate::ring::SIZES); 0 where there is no endpoint.
    pub ring_size: u32,
    /// `SERVICE_*` bits.
    pub flags: u32,
}
