//! Which EndpointSlices a Service has.

use std::collections::BTreeMap;

use crate::{
    object::{EndpointSlice, ObjectKey},
    persistent_map::{Change, Entry, PersistentMap},
};

/// EndpointSlices by the Service that they belong to.
#[derive(Debug, Default)]
pub(super) struct SlicesByService {
    services: BTreeMap<ObjectKey, Vec<Entry<ObjectKey, EndpointSlice>>>,
}

impl SlicesByService {
    /// Follows the slices from one snapshot to the next; the Services whose slices changed.
    pub(super) fn follow(
        &mut self,
        before: &PersistentMap<ObjectKey, EndpointSlice>,
        after: &PersistentMap<ObjectKey, EndpointSlice>,
    ) -> Vec<ObjectKey> {
        let mut changed = Vec::new();
        for Change { before, after, .. } in after.changes_since(before) {
            if let Some(entry) = before {
                let service = service_of(entry);
                if let Some(slices) = self.services.get_mut(&service) {
                    slices.retain(|slice| slice.0 != entry.0);
                    if slices.is_empty() {
                        self.services.remove(&service);
                    }
                }
                changed.push(service);
            }
            if let Some(entry) = after {
                let service = service_of(entry);
                self.services.entry(service.clone()).or_default().push(entry.clone());
                changed.push(service);
            }
        }
        changed
    }

    /// The slices of one Service, in no order.
    pub(super) fn of(&self, service: &ObjectKey) -> impl Iterator<Item = &EndpointSlice> + Clone {
        self.services.get(service).into_iter().flatten().map(|entry| &entry.1)
    }
}

fn service_of(entry: &Entry<ObjectKey, EndpointSlice>) -> ObjectKey {
    ObjectKey::new(entry.0.namespace.as_str(), entry.1.service.as_str())
}
