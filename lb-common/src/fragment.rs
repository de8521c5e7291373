//! Fragments: only the first of a datagram carries the ports (RFC 791 §3.2, RFC 8200 §4.5).

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{
    address::Address,
    time::{Tick, seconds},
};

/// How long the fragments of a datagram may follow the first: Linux reassembles for 30 s (IPv4, `IP_FRAG_TIME`) and
/// 60 s (IPv6, RFC 8200 §4.5).
pub const LIFETIME: Tick = seconds(60);

/// What the fragments of a datagram share, 40 bytes.
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
pub struct FragmentKey {
    /// Source address.
    pub src: Address,
    /// Destination address.
    pub dst: Address,
    /// Identification, as it stands in the packet (16 bits for IPv4, 32 for IPv6).
    pub id_be: u32,
    /// IP protocol number.
    pub protocol: u32,
}

/// The ports of a datagram, 8 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct FragmentPorts {
    /// Source port, network byte order.
    pub src_port_be: u16,
    /// Destination port, network byte order.
    pub dst_port_be: u16,
    /// When the first fragment came.
    pub seen: Tick,
}
