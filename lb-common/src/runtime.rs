//! State that the agent changes while programs run.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The one entry of the `runtime` map, 8 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Runtime {
    /// Raised by the agent after a backend went away or routes, neighbours or devices changed. A flow that carries
    /// another epoch checks its endpoint and its next hop once before it goes on. Never 0.
    pub epoch: u32,
    /// Zero.
    pub _pad: u32,
}
