//! What the kernel's maps hold, and the single steps that change them.

use std::collections::{BTreeMap, BTreeSet};

use lb_common::{
    address::Address,
    backend::Backend,
    service::{Service, ServiceKey},
    source_range::SourceRangeKey,
};

use crate::slots::Slots;

/// The contents of the maps that a plan is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tables {
    /// Frontends.
    pub services: BTreeMap<ServiceKey, Service>,
    /// Endpoints by index. An index that was used and is free again has address 0 and keeps its generation; one that
    /// was never used is absent.
    pub backends: BTreeMap<u32, Backend>,
    /// Rings by first chunk: the slots, exactly as many as the ring has.
    pub rings: BTreeMap<u32, Slots>,
    /// Names by service id.
    pub names: BTreeMap<u32, String>,
    /// Which clients the frontends with `SERVICE_SOURCE_RANGES` let in.
    pub source_ranges: BTreeSet<SourceRangeKey>,
    /// Addresses of the nodes that encapsulated packets may come from.
    pub peers: BTreeSet<Address>,
}

/// How much each map holds at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Entries of `services`.
    pub services: u32,
    /// Chunks of `rings`.
    pub chunks: u32,
    /// Entries of `backends`; index 0 is never used.
    pub backends: u32,
    /// Entries of `source_ranges`.
    pub source_ranges: u32,
    /// Entries of `peers`.
    pub peers: u32,
}

/// One write. Applied in the order of the plan, service continues after each one, whatever happens to the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Writes an endpoint.
    SetBackend {
        /// Index.
        index: u32,
        /// Contents.
        backend: Backend,
    },
    /// Writes a ring's slots from its first chunk on. No service points there yet, unless the map is so full that a
    /// changed ring fits nowhere beside the old one: then it is written over the old one of the same size, whose
    /// endpoints are still there.
    SetRing {
        /// First chunk.
        chunk: u32,
        /// Backend indices, one a slot.
        slots: Slots,
    },
    /// Names a service id.
    SetName {
        /// Service id.
        id: u32,
        /// `namespace/name:port`.
        name: String,
    },
    /// Lets the clients of a range in.
    SetSourceRange {
        /// Service id and range.
        key: SourceRangeKey,
    },
    /// Accepts encapsulated packets from a node.
    SetPeer {
        /// An address of the node.
        address: Address,
    },
    /// Writes a frontend; from here on packets follow it.
    SetService {
        /// Frontend.
        key: ServiceKey,
        /// Contents.
        service: Service,
    },
    /// Removes a frontend.
    RemoveService {
        /// Frontend.
        key: ServiceKey,
    },
    /// Lets the clients of a range in no more.
    RemoveSourceRange {
        /// Service id and range.
        key: SourceRangeKey,
    },
    /// Accepts no more encapsulated packets from a node.
    RemovePeer {
        /// An address of the node.
        address: Address,
    },
    /// Removes a name and zeroes the counters of its id.
    RemoveName {
        /// Service id.
        id: u32,
    },
    /// Frees an endpoint's index: address 0, and the generation raised by one so that its flows notice.
    RemoveBackend {
        /// Index.
        index: u32,
        /// The generation from now on.
        generation: u32,
    },
    /// Raises the epoch: every flow checks its endpoint once. Follows removals and changes of endpoints.
    RaiseEpoch,
}

/// The agent's only way to the kernel: real (aya), in memory, or faulty on purpose.
pub trait DataPlane {
    /// What went wrong, for logs.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Reads the tables back.
    ///
    /// # Errors
    /// Whatever the maps answer.
    fn dump(&mut self) -> Result<Tables, Self::Error>;

    /// True where the tables are as `believed`, rings that no frontend points to left out.
    ///
    /// # Errors
    /// As [`dump`](Self::dump).
    fn holds(&mut self, believed: &Tables) -> Result<bool, Self::Error> {
        Ok(self.dump()? == *believed)
    }

    /// Applies one step.
    ///
    /// # Errors
    /// Whatever the map answers; nothing was changed then.
    fn apply(&mut self, op: &Op) -> Result<(), Self::Error>;

    /// What the maps hold at most.
    fn capacity(&self) -> Capacity;
}
