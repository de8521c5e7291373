//! What is asked for and not served, by whom it was noticed, and who is told.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use lb_model::object::Refusal;

use super::metrics::Metrics;

/// Who noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Origin {
    /// The source and the model, at a snapshot; they log their own.
    Snapshot,
    /// Ports of health checks.
    HealthChecks,
    /// The file of `--external-ip-policy`.
    Policy,
}

/// All refusals of the moment.
pub(super) struct Refusals {
    found: BTreeMap<Origin, BTreeSet<Refusal>>,
    metrics: Arc<Metrics>,
}

impl Refusals {
    /// None so far; counted in `metrics`.
    pub(super) fn new(metrics: Arc<Metrics>) -> Self {
        Self { found: BTreeMap::new(), metrics }
    }

    /// Replaces what `origin` noticed, and says what is new in it.
    pub(super) fn set(&mut self, origin: Origin, refusals: &BTreeSet<Refusal>) {
        let before = self.found.entry(origin).or_default();
        if before == refusals {
            return;
        }
        for Refusal { kind, object, reason, message } in refusals.difference(before) {
            if origin != Origin::Snapshot {
                tracing::warn!(kind, %object, reason, "refused: {message}");
            }
        }
        before.clone_from(refusals);
        self.metrics.refusals(self.found.values().flatten());
    }
}
