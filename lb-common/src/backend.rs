//! Endpoints, by index.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::address::Address;

/// The endpoint is on this node (a pod or the node itself): destination rewritten, client address kept, and the
/// node's stack delivers it.
pub const BACKEND_LOCAL: u8 = 1 << 0;
/// The endpoint is terminating: in no ring any more, or there because nothing else serves.
pub const BACKEND_TERMINATING: u8 = 1 << 1;

/// An endpoint, 40 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Backend {
    /// Address.
    pub address: Address,
    /// Address of the endpoint's node, of the same family, where encapsulated packets are sent; none where not known.
    pub node: Address,
    /// Port, network byte order.
    pub port_be: u16,
    /// IP protocol number.
    pub protocol: u8,
    /// `BACKEND_*` bits.
    pub flags: u8,
    /// Raised whenever the endpoint of this index goes away; never 0 once the index was used. A flow remembers the
    /// generation it was opened under, so it notices that its endpoint is gone even when the index was reused. A free
    /// index has no address and keeps its generation.
    pub generation: u32,
}
