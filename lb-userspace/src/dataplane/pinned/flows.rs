//! What the kernel programs remember: flows, clients with an endpoint of their own, fragmented datagrams.

use std::{mem::offset_of, os::fd::AsFd as _};

use aya::{
    Pod,
    maps::{HashMap, MapData, MapError},
};
use lb_common::{
    abi::map,
    address::{V4, V6},
    affinity::{Affinity, AffinityKey},
    flow::{Flow, FlowKey},
    fragment::{FragmentKey, FragmentPorts},
    tcp::{self, State},
    time::{Tick, since},
};

use super::{Pinned, PinnedError, named};
use crate::dataplane::sys::read_entries;

/// A flow half, as far as it matters to who counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Half {
    /// Service id.
    pub service: u32,
    /// `FLOW_*` bits.
    pub flags: u8,
    /// State bits of [`tcp`].
    pub state: State,
}

impl Pinned {
    /// Hands over the halves of IPv4 and IPv6 whose flows are not over at `now`, a batch a call to the kernel. An LRU keeps
    /// the others until it needs their place.
    ///
    /// # Errors
    /// Where a map does not answer.
    pub fn living_halves(&self, now: Tick, mut take: impl FnMut(Half)) -> Result<(), PinnedError> {
        self.living_halves_of::<V4>(map::FLOWS, now, &mut take)?;
        self.living_halves_of::<V6>(map::FLOWS6, now, &mut take)
    }

    /// As [`living_halves`](Self::living_halves), of the table `name`.
    pub(in crate::dataplane) fn living_halves_of<A>(
        &self,
        name: &'static str,
        now: Tick,
        take: &mut impl FnMut(Half),
    ) -> Result<(), PinnedError> {
        let (key, value) = (size_of::<FlowKey<A>>(), size_of::<Flow<A>>());
        let data = self.data(name)?;
        let most = self.max_entries(name);
        read_entries(data.fd().as_fd(), key as u32, value as u32, most, |keys, values| {
            for (key, value) in keys.chunks_exact(key).zip(values.chunks_exact(value)) {
                let protocol = word(key, offset_of!(FlowKey<A>, protocol)) as u8;
                let state = value[offset_of!(Flow<A>, state)];
                let idle = since(now, word(value, offset_of!(Flow<A>, last_seen)));
                if idle <= tcp::idle_timeout(protocol, state) {
                    let service = word(value, offset_of!(Flow<A>, service));
                    take(Half { service, flags: value[offset_of!(Flow<A>, flags)], state });
                }
            }
        })
        .map_err(|source| named(name)(MapError::IoError(source)))
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

/// The 32 bits at `offset`, as the kernel programs wrote them.
fn word(bytes: &[u8], offset: usize) -> u32 {
    u32::from_ne_bytes([0, 1, 2, 3].map(|byte| bytes[offset + byte]))
}
