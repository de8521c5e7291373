//! When the agent may be relied on.

use std::sync::atomic::{AtomicBool, Ordering};

use lb_admin::systemd;

/// Latches: each is set once and stays set, but for the end.
#[derive(Debug, Default)]
pub(super) struct Readiness {
    attached: AtomicBool,
    synced: AtomicBool,
    stopping: AtomicBool,
    /// systemd, where that has started the agent, knows that it is ready.
    told: AtomicBool,
}

impl Readiness {
    /// Programs are on every uplink.
    pub(super) fn attached(&self) {
        self.attached.store(true, Ordering::Release);
        self.tell();
    }

    /// The first full snapshot is in the maps.
    pub(super) fn synced(&self) {
        self.synced.store(true, Ordering::Release);
        self.tell();
    }

    /// The agent is about to end.
    pub(super) fn stopping(&self) {
        self.stopping.store(true, Ordering::Release);
        systemd::stopping();
    }

    fn tell(&self) {
        if self.was_ready() && !self.told.swap(true, Ordering::AcqRel) {
            systemd::ready();
        }
    }

    /// True from the first time that nothing was missing.
    pub(super) fn was_ready(&self) -> bool {
        self.attached.load(Ordering::Acquire) && self.synced.load(Ordering::Acquire)
    }

    /// What is still missing; empty once ready.
    pub(super) fn missing(&self) -> Vec<&'static str> {
        [
            (!self.attached.load(Ordering::Acquire))
                .then_some("programs are not attached to every uplink yet"),
            (!self.synced.load(Ordering::Acquire))
                .then_some("the first full snapshot is not in the maps yet"),
            self.stopping.load(Ordering::Acquire).then_some("stopping"),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_needs_programs_and_a_snapshot_and_ends_with_the_agent() {
        let readiness = Readiness::default();
        assert_eq!(readiness.missing().len(), 2);
        readiness.attached();
        assert_eq!(readiness.missing().len(), 1);
        readiness.synced();
        assert!(readiness.missing().is_empty());
        readiness.stopping();
        assert_eq!(readiness.missing(), ["stopping"]);
    }
}
