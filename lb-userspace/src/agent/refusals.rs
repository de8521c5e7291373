//! What is asked for and not served, by whom it was noticed, and who is told.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Instant,
};

use lb_common::refusal::Refusal as Record;
use lb_model::object::Refusal;

use super::{metrics::Metrics, reminder::Reminder};
use lb_sources::Announcer;

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
    /// None where there is no cluster to tell.
    announcer: Option<Announcer>,
    reminder: Reminder,
}

impl Refusals {
    /// None so far; counted in `metrics` and announced as they appear.
    pub(super) fn new(metrics: Arc<Metrics>, announcer: Option<Announcer>) -> Self {
        Self { found: BTreeMap::new(), metrics, announcer, reminder: Reminder::new(Instant::now()) }
    }

    /// Replaces what `origin` noticed, and says what is new in it. False where that is what it noticed before.
    pub(super) fn set(&mut self, origin: Origin, refusals: &BTreeSet<Refusal>) -> bool {
        let is_first = !self.found.contains_key(&origin);
        let before = self.found.entry(origin).or_default();
        if before == refusals {
            return is_first;
        }
        for Refusal { kind, object, reason, message } in refusals.difference(before) {
            if origin != Origin::Snapshot {
                tracing::warn!(kind, %object, reason, "refused: {message}");
            }
        }
        if let Some(announcer) = &self.announcer {
            announcer.announce(refusals.difference(before));
        }
        before.clone_from(refusals);
        self.metrics.refusals(self.found.values().flatten());
        true
    }

    /// Announces those again that are in force and whose turn it is; to be called once a minute.
    pub(super) fn remind(&mut self) {
        if let Some(announcer) = &self.announcer {
            announcer.announce(self.reminder.due(Instant::now(), self.found.values().flatten()));
        }
    }

    /// All of them, as the kernel keeps them; nothing before the first snapshot, for what an agent before this one found
    /// may still be true.
    pub(super) fn records(&self) -> Option<impl Iterator<Item = Record>> {
        let found = self.found.contains_key(&Origin::Snapshot).then(|| self.found.values().flatten())?;
        Some(found.map(|refusal| {
            Record::new(&refusal.kind, &refusal.object.to_string(), &refusal.reason, &refusal.message)
        }))
    }
}
