//! A running watch.

use std::{collections::BTreeMap, io, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::StreamExt;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use serde_json::{Value, json};
use tokio::{
    sync::{broadcast, mpsc},
    time::{Instant, timeout_at},
};

use super::{
    Shared,
    answer::{self, Body},
    request::Resource,
    state::{Change, Order, stamp},
};

/// Starts a watch from `version` on; the body carries its events.
pub(super) fn start(
    shared: Arc<Shared>,
    resource: Resource,
    query: BTreeMap<String, String>,
    version: u64,
) -> Body {
    let (chunks, body) = mpsc::channel(1);
    let orders = shared.orders.subscribe();
    let watch = Watch { shared, resource, query, version, chunks, cut_next_event: false };
    tokio::spawn(watch.run(orders));
    let frames = futures::stream::unfold(body, |mut body| async { Some((body.recv().await?, body)) });
    StreamBody::new(frames.map(|chunk: io::Result<Bytes>| chunk.map(Frame::data))).boxed_unsync()
}

struct Watch {
    shared: Arc<Shared>,
    resource: Resource,
    query: BTreeMap<String, String>,
    /// Everything up to here was sent.
    version: u64,
    chunks: mpsc::Sender<io::Result<Bytes>>,
    cut_next_event: bool,
}

impl Watch {
    async fn run(mut self, mut orders: broadcast::Receiver<(Option<Resource>, Order)>) {
        let seconds =
            self.query.get("timeoutSeconds").and_then(|seconds| seconds.parse().ok()).unwrap_or(3600);
        let end = Instant::now() + Duration::from_secs(seconds);
        // What happened between the list and this watch.
        let mut open = self.look().await;
        while open {
            let Ok(order) = timeout_at(end, orders.recv()).await else { return };
            open = match order {
                Ok((Some(resource), _)) if resource != self.resource => true,
                Ok((_, order)) => self.obey(order).await,
                // Missed orders only say that there is something to look at.
                Err(broadcast::error::RecvError::Lagged(_)) => self.look().await,
                Err(broadcast::error::RecvError::Closed) => false,
            };
        }
    }

    /// Does as told; false where the watch is over.
    async fn obey(&mut self, order: Order) -> bool {
        match order {
            Order::Look => self.look().await,
            Order::Bookmark => self.bookmark().await,
            Order::Line(line) => self.send(format!("{line}\n")).await,
            Order::CutNextEvent => {
                self.cut_next_event = true;
                true
            }
            Order::End => false,
            Order::Break => self.break_off().await,
        }
    }

    /// Sends what the log has and this watch has not seen.
    async fn look(&mut self) -> bool {
        let (changes, version) = {
            let state = self.shared.state();
            let seen = state.log.partition_point(|change| change.version <= self.version);
            let new = state.log[seen..].iter().filter(|change| change.resource == self.resource);
            (new.cloned().collect::<Vec<_>>(), state.version)
        };
        for change in changes {
            let Some(event) = self.event(change) else { continue };
            let line = format!("{event}\n");
            if self.cut_next_event {
                return self.send(line[..line.len() / 2].to_owned()).await && self.break_off().await;
            }
            if !self.send(line).await {
                return false;
            }
        }
        self.version = version;
        true
    }

    /// The change as this watcher's selectors see it.
    fn event(&self, change: Change) -> Option<Value> {
        let seen = |object: &Option<Value>| {
            object.as_ref().is_some_and(|object| answer::matches(object, &self.query))
        };
        let (event_type, object) = match (seen(&change.before), seen(&change.after)) {
            (false, true) => ("ADDED", change.after),
            (true, true) => ("MODIFIED", change.after),
            // Gone, or gone for this watcher: sent as it last was, under the version of the change.
            (true, false) => ("DELETED", change.before.map(|object| stamp(object, change.version))),
            (false, false) => return None,
        };
        Some(json!({"type": event_type, "object": object?}))
    }

    async fn bookmark(&mut self) -> bool {
        if self.query.get("allowWatchBookmarks").is_none_or(|value| value != "true") {
            return true;
        }
        if !self.look().await {
            return false;
        }
        let event = json!({"type": "BOOKMARK", "object": {
            "apiVersion": self.resource.api_version(), "kind": self.resource.kind(),
            "metadata": {"resourceVersion": self.version.to_string(), "creationTimestamp": null},
        }});
        self.send(format!("{event}\n")).await
    }

    async fn send(&self, text: String) -> bool {
        self.chunks.send(Ok(Bytes::from(text))).await.is_ok()
    }

    async fn break_off(&self) -> bool {
        // The client may have gone first.
        let _ = self.chunks.send(Err(io::ErrorKind::ConnectionReset.into())).await;
        false
    }
}
