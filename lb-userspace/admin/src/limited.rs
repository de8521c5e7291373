//! Clients that are served briefly, some at a time: the address may be anybody's to reach.

use std::{net::IpAddr, sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{sleep, timeout},
};

/// Pause after a failure to accept: out of file descriptors, most likely, and others will close theirs.
const PAUSE: Duration = Duration::from_secs(1);

/// What clients of one port may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at a time; more wait.
    pub connections: usize,
    /// From accepting to closing.
    pub patience: Duration,
}

/// Has `converse` answer each client, until this is dropped; connections that are open then are answered still. `what` is the
/// port, as the log is to call it.
pub async fn serve<F>(
    listener: TcpListener,
    limits: Limits,
    what: &str,
    converse: impl Fn(TcpStream, IpAddr) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let slots = Arc::new(Semaphore::new(limits.connections));
    loop {
        // Never closed, so always a permit.
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, peer)) => {
                let conversation = timeout(limits.patience, converse(stream, peer.ip()));
                tokio::spawn(async move {
                    // A client that is cut off has had its time.
                    let _ = conversation.await;
                    drop(slot);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection on {what}; trying again in {PAUSE:?}");
                sleep(PAUSE).await;
            }
        }
    }
}
