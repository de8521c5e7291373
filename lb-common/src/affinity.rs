//! `sessionAffinity: ClientIP`: which endpoint a client's new flows go to.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{address::Address, time::Tick};

/// A client of a Service port, 20 bytes.
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
pub struct AffinityKey {
    /// The client's address.
    pub client: Address,
    /// Service id.
    pub service: u32,
}

/// The endpoint of a client, 12 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Affinity {
    /// Index of the endpoint in `backends`.
    pub backend: u32,
    /// The endpoint's [`generation`](crate::backend::Backend::generation).
    pub generation: u32,
    /// When the client last opened a flow.
    pub last_used: Tick,
}
