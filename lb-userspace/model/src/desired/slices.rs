//! Which EndpointSlices a Service has.

use crate::object::{EndpointSlice, ObjectKey, Snapshot};

/// EndpointSlices by the Service that they belong to.
pub(super) struct SlicesByService<'a> {
    /// Sorted by namespace and Service.
    slices: Vec<(&'a str, &'a EndpointSlice)>,
}

impl<'a> SlicesByService<'a> {
    pub(super) fn new(snapshot: &'a Snapshot) -> Self {
        let mut slices: Vec<_> =
            snapshot.slices.iter().map(|(key, slice)| (key.namespace.as_str(), slice)).collect();
        slices.sort_by_key(|(namespace, slice)| (*namespace, slice.service.as_str()));
        Self { slices }
    }

    /// The slices of one Service.
    pub(super) fn of(&self, service: &ObjectKey) -> &[(&'a str, &'a EndpointSlice)] {
        let wanted = (service.namespace.as_str(), service.name.as_str());
        let first =
            self.slices.partition_point(|(namespace, slice)| (*namespace, slice.service.as_str()) < wanted);
        let rest = &self.slices[first..];
        let count = rest
            .iter()
            .take_while(|(namespace, slice)| (*namespace, slice.service.as_str()) == wanted)
            .count();
        &rest[..count]
    }
}
