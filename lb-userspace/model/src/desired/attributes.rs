//! What the maps say of endpoints that several Service ports share.

use std::collections::BTreeMap;

use lb_common::backend::{BACKEND_LOCAL, BACKEND_TERMINATING};

use super::DesiredBackend;
use crate::backend_id::BackendId;

/// Endpoints of the Service ports, together with the map of what all say of each.
#[derive(Debug, Default)]
pub(super) struct Attributes {
    /// What single Service ports say of endpoints that several have, and how many say so. What is said of an endpoint of
    /// one Service port alone, as nearly all are, is in the map.
    shared: BTreeMap<(BackendId, DesiredBackend), u32>,
}

impl Attributes {
    /// One more Service port has an endpoint.
    pub(super) fn note(
        &mut self,
        id: BackendId,
        said: DesiredBackend,
        backends: &mut BTreeMap<BackendId, DesiredBackend>,
    ) {
        let Some(before) = backends.get_mut(&id) else {
            backends.insert(id, said);
            return;
        };
        if self.of(id).next().is_none() {
            self.shared.insert((id, *before), 1);
        }
        *self.shared.entry((id, said)).or_default() += 1;
        *before = merge(*before, said);
    }

    /// A Service port of which [`note`](Self::note) was told has the endpoint no more.
    pub(super) fn forget(
        &mut self,
        id: BackendId,
        said: DesiredBackend,
        backends: &mut BTreeMap<BackendId, DesiredBackend>,
    ) {
        let Some(count) = self.shared.get_mut(&(id, said)) else {
            backends.remove(&id);
            return;
        };
        *count -= 1;
        if *count == 0 {
            self.shared.remove(&(id, said));
        }
        let merged = self.of(id).map(|(said, _)| said).reduce(merge);
        backends.extend(merged.map(|merged| (id, merged)));
        let left = self.of(id).map(|(_, count)| count).sum::<u32>();
        if left == 1
            && let Some(said) = merged
        {
            self.shared.remove(&(id, said));
        }
    }

    fn of(&self, id: BackendId) -> impl Iterator<Item = (DesiredBackend, u32)> {
        let first = (id, DesiredBackend::default());
        let behind = self.shared.range(first..).map(|((other, said), count)| (*other, *said, *count));
        behind.take_while(move |(other, ..)| *other == id).map(|(_, said, count)| (said, count))
    }
}

/// Of what is said of an endpoint the better counts, in each respect.
fn merge(one: DesiredBackend, other: DesiredBackend) -> DesiredBackend {
    let local = (one.flags | other.flags) & BACKEND_LOCAL;
    let terminating = one.flags & other.flags & BACKEND_TERMINATING;
    DesiredBackend { flags: local | terminating, node: one.node.max(other.node) }
}
