//! A server for a program in a network namespace, which asks it while the test does something else.

use std::{
    sync::{Arc, mpsc},
    thread::JoinHandle,
};

use anyhow::{Context, Result};
use tokio_util::sync::CancellationToken;

use super::ApiServer;
use crate::netns::Namespace;

/// An API server on the loopback of a namespace, on a thread of its own; it ends with its owner.
#[derive(Debug)]
pub struct Hosted {
    /// The server.
    pub api: Arc<ApiServer>,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl Hosted {
    /// Starts it.
    ///
    /// # Errors
    /// Where the namespace cannot be entered.
    pub fn start(namespace: &Namespace) -> Result<Self> {
        let stop = CancellationToken::new();
        let (started, api) = mpsc::channel();
        let until = stop.clone();
        let thread = namespace.spawn(move || async move {
            // Nobody waits for a server whose owner has ended.
            let _ = started.send(Arc::new(ApiServer::start().await));
            until.cancelled().await;
        })?;
        Ok(Self { api: api.recv().context("the API server did not start")?, stop, thread: Some(thread) })
    }
}

impl Drop for Hosted {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            // Its panic was printed.
            let _ = thread.join();
        }
    }
}
