//! What the kernel programs remember: flows, clients with an endpoint of their own, fragmented datagrams.

use aya::{
    Pod,
    maps::{HashMap, MapData},
};
use lb_common::{
    abi::map,
    address::V6,
    affinity::{Affinity, AffinityKey},
    flow::{Flow, FlowKey},
    fragment::{FragmentKey, FragmentPorts},
};

use super::{Pinned, PinnedError, named};

impl Pinned {
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
