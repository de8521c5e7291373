//! Watches a Kubernetes API server.
//!
//! ```text
//! stream (one a kind): list, then watch, again and again ── Change ──▶ sets ── at most every 5 ms ──▶ Snapshot
//! secrets: get by name, every ten seconds ───────────────── Change ──▶   │
//!     ▲                                                                  │
//!     └────────────────────── names in Ingresses ────────────────────────┘
//! ```
//!
//! Requests go through kube's client; list and watch are driven here and not by kube's `watcher`, which asks for an
//! expired version for ever when the server answers 410 to the request itself, passes over events that it cannot
//! decode, and reconnects without pause to a server that ends every watch at once (kube-runtime 4.2, `watcher.rs`).

mod announcer;
pub mod change;
mod event;
mod paced;
mod secrets;
pub mod sets;
mod stream;
mod wanted;
pub mod wire;

use std::{path::Path, time::Duration};

use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use tokio::{
    sync::{mpsc, watch},
    task::{self, JoinHandle, JoinSet},
    time::{Instant, timeout_at},
};
use tokio_util::sync::CancellationToken;
use tracing::info;

pub use self::announcer::{Announcer, Cluster};
use self::{change::Change, secrets::Secrets, sets::Sets, stream::KindStream, wanted::Names};
use super::{Consumer, Error, SecretSelector, publish::Publisher};

/// Shortest time between two snapshots: a change that comes alone is published at once, a burst as few snapshots.
const INTERVAL: Duration = Duration::from_millis(5);
/// A connection that brings nothing for this long is dead: the server sends a bookmark every minute
/// (`bookmarkFrequency` in apiserver `cacher.go`).
const SILENCE: Duration = Duration::from_secs(120);
const CONNECT: Duration = Duration::from_secs(10);
/// Changes on their way from the streams to the sets.
const PENDING_CHANGES: usize = 1024;

/// A client for the API server of a kubeconfig, else for the cluster that this pod runs in.
pub(super) async fn connect(kubeconfig: Option<&Path>) -> Result<Client, Error> {
    let mut config = match kubeconfig {
        Some(path) => from_file(path).await?,
        None => Config::incluster().map_err(Error::NotInCluster)?,
    };
    config.connect_timeout = Some(CONNECT);
    config.read_timeout = Some(SILENCE);
    // The streams retry by themselves, and say so; kube would for minutes and silently.
    config.default_retry = false;
    info!(server = %config.cluster_url, "watching the Kubernetes API");
    Client::try_from(config).map_err(Error::Client)
}

async fn from_file(path: &Path) -> Result<Config, Error> {
    let failed = |source| Error::Kubeconfig { path: path.to_owned(), source };
    let kubeconfig = Kubeconfig::read_from(path).map_err(failed)?;
    Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.map_err(failed)
}

/// Starts the streams and publishes what they bring.
pub(super) fn start(
    consumer: Consumer,
    secrets: SecretSelector,
    client: &Client,
    publisher: Publisher,
    stop: CancellationToken,
) -> JoinHandle<()> {
    let (sender, changes) = mpsc::channel(PENDING_CHANGES);
    let (names, wanted) = watch::channel(None);
    let mut streams = JoinSet::new();
    for kind in consumer.kinds().iter().copied() {
        let (client, sender, reporter) = (client.clone(), sender.clone(), publisher.reporter(kind.as_str()));
        match stream::collection(kind) {
            Some(path) => {
                streams.spawn(KindStream::new(consumer, kind, path, client, reporter, sender).run());
            }
            None => {
                streams.spawn(Secrets::new(client, reporter, sender, wanted.clone()).run());
            }
        }
    }
    task::spawn(async move {
        // Dropped with this task, and the streams with it.
        let _streams = streams;
        let sets = Sets::new(consumer, secrets);
        stop.run_until_cancelled_owned(merge(changes, sets, publisher, names)).await;
    })
}

/// Puts changes into the sets and publishes them; tells which Secrets are wanted.
async fn merge(
    mut changes: mpsc::Receiver<Change>,
    mut sets: Sets,
    mut publisher: Publisher,
    names: watch::Sender<Option<Names>>,
) {
    let mut next = Instant::now();
    while let Some(change) = changes.recv().await {
        let mut arrivals: Vec<_> = sets.take(change).into_iter().collect();
        // A timer takes a millisecond even where the time has come.
        while next > Instant::now()
            && let Ok(Some(change)) = timeout_at(next, changes.recv()).await
        {
            arrivals.extend(sets.take(change));
        }
        while let Ok(change) = changes.try_recv() {
            arrivals.extend(sets.take(change));
        }
        if let Some(wanted) = sets.wanted_secrets() {
            names.send_if_modified(|before| {
                let is_changed = before.as_ref() != Some(wanted);
                if is_changed {
                    *before = Some(wanted.clone());
                }
                is_changed
            });
        }
        if let Some(snapshot) = sets.snapshot() {
            publisher.publish(snapshot, arrivals);
        }
        next = Instant::now() + INTERVAL;
    }
}
