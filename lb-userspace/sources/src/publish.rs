//! The sending end of a [`Feed`](super::Feed).

use std::{collections::BTreeSet, sync::Arc, time::SystemTime};

use lb_model::object::{Refusal, Snapshot};
use tokio::sync::watch;
use tracing::warn;

use super::{
    Consumer,
    arrival::{Arrival, Arrivals},
    status::{Status, Stream},
};

/// Publishes snapshots and status.
#[derive(Debug)]
pub(super) struct Publisher {
    snapshots: watch::Sender<Option<Arc<Snapshot>>>,
    /// None where nobody would take them, and they would add up for ever.
    arrivals: Option<Arrivals>,
    status: watch::Sender<Status>,
    /// Refusals of the last snapshot, which were logged.
    refused: Arc<[Refusal]>,
}

/// The receiving ends.
pub(super) struct Channel {
    pub(super) snapshots: watch::Receiver<Option<Arc<Snapshot>>>,
    pub(super) arrivals: Arrivals,
    pub(super) status: watch::Receiver<Status>,
}

/// A publisher and what it publishes to.
pub(super) fn channel(consumer: Consumer) -> (Publisher, Channel) {
    let (snapshots, snapshots_out) = watch::channel(None);
    let (status, status_out) = watch::channel(Status::default());
    let arrivals = Arrivals::default();
    let kept = (consumer == Consumer::Agent).then(|| arrivals.clone());
    let publisher = Publisher { snapshots, arrivals: kept, status, refused: Arc::default() };
    (publisher, Channel { snapshots: snapshots_out, arrivals, status: status_out })
}

impl Publisher {
    /// Publishes a snapshot unless nothing changed, and logs what is refused anew. `arrivals` are of the events that
    /// led to it; the first snapshot is no answer to an event, and has none.
    pub(super) fn publish(&mut self, snapshot: Snapshot, mut arrivals: Vec<Arrival>) {
        self.log_refusals(&snapshot.refused);
        self.snapshots.send_if_modified(|current| {
            let changed = current.as_deref() != Some(&snapshot);
            if changed {
                if let (Some(_), Some(kept)) = (current.as_ref(), &self.arrivals) {
                    kept.add(&mut arrivals);
                }
                *current = Some(Arc::new(snapshot));
            }
            changed
        });
    }

    fn log_refusals(&mut self, refused: &Arc<[Refusal]>) {
        if Arc::ptr_eq(refused, &self.refused) {
            return;
        }
        let said: BTreeSet<_> = self.refused.iter().collect();
        for refusal in refused.iter().filter(|refusal| !said.contains(refusal)).collect::<BTreeSet<_>>() {
            warn!(kind = refusal.kind, object = %refusal.object, reason = refusal.reason, "refused: {}", refusal.message);
        }
        self.refused = refused.clone();
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

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use lb_model::object::ObjectKey;

    use super::*;

    #[test]
    fn arrivals_are_kept_for_the_consumer_that_takes_them() {
        for (consumer, kept) in [(Consumer::Agent, 2), (Consumer::Ingress, 0)] {
            let (mut publisher, channel) = channel(consumer);
            let refusal = |object: &str| Refusal {
                kind: "Service".to_owned(),
                object: ObjectKey::new("shop", object),
                reason: "None".to_owned(),
                message: String::new(),
            };
            for refused in [vec![], vec![refusal("a")], vec![refusal("b")]] {
                let snapshot = Snapshot { refused: refused.into(), ..Snapshot::default() };
                publisher.publish(snapshot, vec![Arrival { at: Instant::now(), triggered: None }]);
            }
            assert_eq!(channel.arrivals.take().len(), kept, "{consumer:?}");
        }
    }
}
