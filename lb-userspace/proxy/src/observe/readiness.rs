//! When the proxy may be relied on.

use std::sync::atomic::{AtomicBool, Ordering};

use lb_admin::systemd;

/// Whether traffic should come here.
#[derive(Debug, Default)]
pub(crate) struct Readiness {
    configured: AtomicBool,
    draining: AtomicBool,
}

impl Readiness {
    /// The first full snapshot is served.
    pub(crate) fn configured(&self) {
        if !self.configured.swap(true, Ordering::AcqRel) {
            systemd::ready();
        }
    }

    /// The proxy is about to end.
    pub(crate) fn draining(&self) {
        self.draining.store(true, Ordering::Release);
        systemd::stopping();
    }

    /// Why no traffic should come; none where it should.
    pub(crate) fn missing(&self) -> Option<&'static str> {
        if self.draining.load(Ordering::Acquire) {
            Some("draining")
        } else if !self.configured.load(Ordering::Acquire) {
            Some("the first full snapshot is not served yet")
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_from_the_first_snapshot_until_the_drain() {
        let readiness = Readiness::default();
        assert_eq!(readiness.missing(), Some("the first full snapshot is not served yet"));
        readiness.configured();
        assert_eq!(readiness.missing(), None);
        readiness.draining();
        assert_eq!(readiness.missing(), Some("draining"));
    }
}
