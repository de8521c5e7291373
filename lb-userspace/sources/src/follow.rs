//! Follows a folder of manifests.
//!
//! The folder is read anew as a whole after every change, so that no order of events matters; changes that come in a
//! burst are read once. File systems that send no events (network mounts, links to files elsewhere) are covered by a
//! slow rescan.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use lb_model::object::Snapshot;
use notify::{
    Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher,
    event::{AccessKind, AccessMode, ModifyKind},
};
use tokio::{
    sync::mpsc,
    task::{self, JoinHandle},
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::{
    Consumer, Error,
    manifest::Folder,
    publish::{Publisher, Reporter},
};

/// A burst is over when this long nothing changed …
const QUIET: Duration = Duration::from_millis(50);
/// … or when it has lasted this long.
const BURST: Duration = Duration::from_millis(500);
/// How often the folder is read without being asked to.
const RESCAN: Duration = Duration::from_secs(10);
/// How often a folder that cannot be read is tried.
const RETRY: Duration = Duration::from_secs(1);

/// Reads the folder, publishes what it holds and goes on following it.
pub(super) fn start(
    consumer: Consumer,
    path: PathBuf,
    mut publisher: Publisher,
    stop: CancellationToken,
) -> Result<JoinHandle<()>, Error> {
    // Watch first and read then: no change falls between the two.
    let (changes, watcher) = watch(&path)?;
    let mut folder = Folder::new(consumer, path);
    let snapshot =
        folder.scan().map_err(|source| Error::Folder { path: folder.path().to_owned(), source })?;
    info!(folder = %folder.path().display(), "following manifests");
    publisher.publish(snapshot, Vec::new());
    let reporter = publisher.reporter("manifests");
    reporter.connected();
    reporter.event();
    let follower = Follower { publisher, reporter, changes, watcher };
    Ok(task::spawn(async move {
        stop.run_until_cancelled_owned(follower.run(folder)).await;
    }))
}

fn watch(path: &Path) -> Result<(mpsc::Receiver<()>, RecommendedWatcher), Error> {
    // One pending change says as much as many.
    let (sender, changes) = mpsc::channel(1);
    let on_event = move |event: notify::Result<Event>| {
        if event.as_ref().is_ok_and(|event| !is_change(event)) {
            return;
        }
        // A full channel has a scan coming already; a closed one belongs to a source that has ended.
        let _ = sender.try_send(());
    };
    let failed = |source| Error::Watch { path: path.to_owned(), source };
    let mut watcher = notify::recommended_watcher(on_event).map_err(failed)?;
    watcher.watch(path, RecursiveMode::NonRecursive).map_err(|error| match error.kind {
        notify::ErrorKind::PathNotFound => {
            Error::Folder { path: path.to_owned(), source: io::Error::from(io::ErrorKind::NotFound) }
        }
        _ => failed(error),
    })?;
    Ok((changes, watcher))
}

/// True where a file may have a new complete text. Writing alone is not such a moment: the writer's close is, and an
/// open file may be half written.
fn is_change(event: &Event) -> bool {
    matches!(
        event.kind,
        EventKind::Create(_)
            | EventKind::Remove(_)
            | EventKind::Modify(ModifyKind::Name(_))
            | EventKind::Access(AccessKind::Close(AccessMode::Write))
    ) || event.need_rescan()
}

struct Follower {
    publisher: Publisher,
    reporter: Reporter,
    changes: mpsc::Receiver<()>,
    watcher: RecommendedWatcher,
}

impl Follower {
    async fn run(mut self, mut folder: Folder) {
        let mut wait = RESCAN;
        loop {
            if self.changed_within(wait).await {
                self.end_of_burst().await;
            } else if let Err(error) = self.watcher.watch(folder.path(), RecursiveMode::NonRecursive) {
                // A folder that was removed and made again is another one to the kernel. The scan reports the rest.
                debug!("cannot watch the manifest folder: {error}");
            }
            let scan = task::spawn_blocking(move || {
                let result = folder.scan();
                (folder, result)
            });
            // Fails only where the runtime is shutting down.
            let Ok((scanned, result)) = scan.await else { return };
            folder = scanned;
            wait = self.take(result);
        }
    }

    /// Publishes a scan and says how long to wait for the next.
    fn take(&mut self, result: io::Result<Snapshot>) -> Duration {
        match result {
            Ok(snapshot) => {
                self.publisher.publish(snapshot, Vec::new());
                self.reporter.connected();
                self.reporter.event();
                RESCAN
            }
            Err(error) => {
                warn!("cannot read the manifest folder: {error}; what was read before stays served");
                self.reporter.error(error.to_string());
                RETRY
            }
        }
    }

    async fn end_of_burst(&mut self) {
        let end = Instant::now() + BURST;
        while Instant::now() < end && self.changed_within(QUIET).await {}
    }

    async fn changed_within(&mut self, wait: Duration) -> bool {
        let Ok(change) = timeout(wait, self.changes.recv()).await else { return false };
        if change.is_none() {
            // The thread behind the watcher is gone; rescans remain.
            sleep(wait).await;
        }
        change.is_some()
    }
}
