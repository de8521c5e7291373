//! What the maps say of endpoints, which several Service ports may share.

use std::collections::BTreeMap;

use super::{DesiredBackend, candidate::Candidate};
use crate::backend_id::BackendId;

/// Every candidate of every Service port, with how often it is there.
#[derive(Debug, Default)]
pub(super) struct Attributes {
    noted: BTreeMap<Candidate, u32>,
}

impl Attributes {
    /// A Service port has a candidate.
    pub(super) fn note(&mut self, candidate: Candidate) {
        *self.noted.entry(candidate).or_default() += 1;
    }

    /// A Service port has a candidate no more.
    pub(super) fn forget(&mut self, candidate: &Candidate) {
        if let Some(count) = self.noted.get_mut(candidate) {
            *count -= 1;
            if *count == 0 {
                self.noted.remove(candidate);
            }
        }
    }

    /// What all Service ports together say of an endpoint; nothing where none has it.
    pub(super) fn of(&self, id: BackendId) -> Option<DesiredBackend> {
        let noted = self.noted.range(Candidate::unknown(id)..).map(|(candidate, _)| *candidate);
        let merged = noted.take_while(|candidate| candidate.id == id).reduce(|mut kept, mut duplicate| {
            Candidate::merge(&mut duplicate, &mut kept);
            kept
        });
        merged.map(|candidate| candidate.backend())
    }
}
