//! The sending end of a [`Feed`](super::Feed).

use std::{collections::BTreeSet, sync::Arc, time::SystemTime};

use lb_model::object::{Refusal, Snapshot};
use tokio::sync::watch;
use tracing::warn;

use super::status::{Status, Stream};

/// Publishes snapshots and status.
#[derive(Debug)]
pub(super) struct Publisher {
    snapshots: watch::Sender<Option<Arc<Snapshot>>>,
    status: watch::Sender<Status>,
    /// Refusals of the last snapshot, which were logged.
    refused: BTreeSet<Refusal>,
}

type Channel = (Publisher, watch::Receiver<Option<Arc<Snapshot>>>, watch::Receiver<Status>);

/// A publisher and what it publishes to.
pub(super) fn channel() -> Channel {
    let (snapshots, snapshots_out) = watch::channel(None);
    let (status, status_out) = watch::channel(Status::default());
    (Publisher { snapshots, status, refused: BTreeSet::new() }, snapshots_out, status_out)
}

impl Publisher {
    /// Publishes a snapshot unless nothing changed, and logs what is refused anew.
    pub(super) fn publish(&mut self, snapshot: Snapshot) {
        let refused: BTreeSet<_> = snapshot.refused.iter().cloned().collect();
        for refusal in refused.difference(&self.refused) {
            warn!(kind = refusal.kind, object = %refusal.object, reason = refusal.reason, "refused: {}", refusal.message);
        }
        self.refused = refused;
        self.snapshots.send_if_modified(|current| {
            let changed = current.as_deref() != Some(&snapshot);
            if changed {
                *current = Some(Arc::new(snapshot));
            }
            changed
        });
    }

    /// Reports how one stream is doing.
    pub(super) fn reporter(&self, stream: &'static str) -> Reporter {
        let reporter = Reporter { status: self.status.clone(), stream };
        reporter.change(|_| ());
        reporter
    }
}

/// Reports how one stream is doing.
#[derive(Debug)]
pub(super) struct Reporter {
    status: watch::Sender<Status>,
    stream: &'static str,
}

impl Reporter {
    /// Changes arrive from now on.
    pub(super) fn connected(&self) {
        self.change(|stream| stream.connected = true);
    }

    /// Something arrived.
    pub(super) fn event(&self) {
        self.change(|stream| stream.last_event = Some(SystemTime::now()));
    }

    /// Something failed, and nothing arrives for the time being.
    pub(super) fn error(&self, error: String) {
        self.change(|stream| {
            stream.connected = false;
            stream.errors += 1;
            stream.last_error = Some(error);
        });
    }

    fn change(&self, change: impl FnOnce(&mut Stream)) {
        self.status.send_modify(|status| change(status.streams.entry(self.stream).or_default()));
    }
}
