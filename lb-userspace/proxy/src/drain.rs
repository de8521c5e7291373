//! The end, without breaking anything: not ready, then no new connections, then the last responses.

use std::time::Duration;

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::{Instant, sleep},
};

use crate::{Error, observe::Readiness, serve::Shared};

/// How often the open connections are counted.
const POLL: Duration = Duration::from_millis(20);

/// SIGTERM and SIGINT.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Listens from now on.
    ///
    /// # Errors
    /// Where the system has no signals.
    pub(crate) fn new() -> Result<Self, Error> {
        let listen =
            |kind| signal(kind).map_err(|source| Error::System { what: "listening for signals", source });
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    /// The next of either.
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Ends all connections. A second signal ends the wait.
pub(crate) async fn drain(
    shared: &Shared,
    readiness: &Readiness,
    signals: &mut Signals,
    delay: Duration,
    limit: Duration,
) {
    readiness.draining();
    tracing::info!(?delay, "not ready any more; new connections are taken for a while still");
    tokio::select! {
        () = wait(shared, delay, limit) => {}
        () = signals.next() => tracing::warn!("told to end a second time; open connections are cut"),
    }
    shared.stop.cancel();
}

async fn wait(shared: &Shared, delay: Duration, limit: Duration) {
    sleep(delay).await;
    shared.draining.cancel();
    let deadline = Instant::now() + limit;
    loop {
        let open = shared.metrics.open_connections();
        if open == 0 {
            return tracing::info!("all connections have ended");
        }
        if Instant::now() >= deadline {
            return tracing::warn!(open, "the drain took too long; these connections are cut");
        }
        sleep(POLL).await;
    }
}
