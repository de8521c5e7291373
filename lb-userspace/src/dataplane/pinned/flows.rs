//! What the kernel programs remember: flows, clients with an endpoint of their own, fragmented datagrams.

use std::{collections::BTreeMap, mem::offset_of, os::fd::AsFd as _};

use aya::{
    Pod,
    maps::{HashMap, MapData, MapError},
};
use lb_common::{
    abi::map,
    address::V6,
    affinity::{Affinity, AffinityKey},
    flow::{FLOW_REVERSE, Flow, FlowKey},
    fragment::{FragmentKey, FragmentPorts},
};

use super::{Pinned, PinnedError, named};
use crate::dataplane::sys::read_entries;

/// Flow table entries of both families.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FlowCounts {
    /// Halves.
    pub entries: u64,
    /// Forward halves by service id, those that are over and not yet taken away among them.
    pub services: BTreeMap<u32, u64>,
}

impl Pinned {
    /// Counts flows, a batch a call.
    ///
    /// # Errors
    /// Where a map does not answer.
    pub fn flows_by_service(&self) -> Result<FlowCounts, PinnedError> {
        let mut counts = FlowCounts::default();
        let v4 =
            (size_of::<FlowKey>(), size_of::<Flow>(), offset_of!(Flow, service), offset_of!(Flow, flags));
        let v6 = (
            size_of::<FlowKey<V6>>(),
            size_of::<Flow<V6>>(),
            offset_of!(Flow<V6>, service),
            offset_of!(Flow<V6>, flags),
        );
        for (name, (key, value, service, flags)) in [(map::FLOWS, v4), (map::FLOWS6, v6)] {
            let data = self.data(name)?;
            let most = self.max_entries(name);
            read_entries(data.fd().as_fd(), key as u32, value as u32, most, |_, values| {
                for value in values.chunks_exact(value) {
                    counts.entries += 1;
                    let id = [0, 1, 2, 3].map(|byte| value[service + byte]);
                    if value[flags] & FLOW_REVERSE == 0 {
                        *counts.services.entry(u32::from_ne_bytes(id)).or_default() += 1;
                    }
                }
            })
            .map_err(|source| named(name)(MapError::IoError(source)))?;
        }
        Ok(counts)
    }

    /// Flow halves of IPv4, in no order, each as it was when it was read. Flows come and go while the map is walked; the
    /// walk ends all the same after as many steps as the map has room.
    ///
    /// # Errors
    /// An item is an error where the map does not answer.
    pub fn flows(&self) -> impl Iterator<Item = Result<(FlowKey, Flow), PinnedError>> + '_ {
        self.walk(map::FLOWS, &self.flows)
    }

    /// As [`flows`](Self::flows), of IPv6.
    ///
    /// # Errors
    /// As [`flows`](Self::flows).
    pub fn flows6(&self) -> impl Iterator<Item = Result<(FlowKey<V6>, Flow<V6>), PinnedError>> + '_ {
        self.walk(map::FLOWS6, &self.flows6)
    }

    /// Clients and the endpoints that they are bound to, in no order, read as [`flows`](Self::flows) are.
    ///
    /// # Errors
    /// As [`flows`](Self::flows).
    pub fn affinity(&self) -> impl Iterator<Item = Result<(AffinityKey, Affinity), PinnedError>> + '_ {
        self.walk(map::AFFINITY, &self.affinity)
    }

    /// Fragmented datagrams whose first fragment was seen, in no order, read as [`flows`](Self::flows) are.
    ///
    /// # Errors
    /// As [`flows`](Self::flows).
    pub fn fragments(&self) -> impl Iterator<Item = Result<(FragmentKey, FragmentPorts), PinnedError>> + '_ {
        self.walk(map::FRAGMENTS, &self.fragments)
    }

    /// An entry that goes away under a walk sends it back to the first one: it needs an end.
    fn walk<'a, K: Pod, V: Pod>(
        &'a self,
        name: &'static str,
        map: &'a HashMap<MapData, K, V>,
    ) -> impl Iterator<Item = Result<(K, V), PinnedError>> + 'a {
        let most = self.max_entries(name) as usize;
        map.iter().take(most).map(move |entry| entry.map_err(named(name)))
    }
}
