//! Load in the background: sessions that go on while a test takes something away, and say what became of them.

mod session;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use anyhow::{Result, bail};
use tokio::task::JoinSet;

pub use self::session::Kind;
pub(crate) use self::session::{Done, Observer, Session};
use crate::{
    netns::Namespace,
    pattern,
    traffic::{PATIENCE, Target},
    wait,
};

#[derive(Debug)]
struct Shared {
    stop: AtomicBool,
    /// Steps that each session has made.
    steps: Vec<AtomicU64>,
    requests: AtomicU64,
    bytes: AtomicU64,
    failures: std::sync::Mutex<Vec<String>>,
}

/// What all sessions have done so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Requests that were answered.
    pub requests: u64,
    /// Bytes that transfers have moved.
    pub bytes: u64,
}

/// Sessions at work.
#[derive(Debug)]
pub struct Load {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Load {
    /// Starts sessions from a namespace to a TCP target: of each kind as many as given. Returns once each has made a
    /// step.
    ///
    /// # Errors
    /// Where a session fails at once.
    pub fn start(from: &Namespace, target: Target, sessions: &[(Kind, usize)]) -> Result<Self> {
        let kinds: Vec<Kind> =
            sessions.iter().flat_map(|(kind, count)| std::iter::repeat_n(*kind, *count)).collect();
        let shared = Arc::new(Shared {
            stop: AtomicBool::new(false),
            steps: kinds.iter().map(|_| AtomicU64::new(0)).collect(),
            requests: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            failures: std::sync::Mutex::default(),
        });
        let state = Arc::clone(&shared);
        let thread = from.spawn(move || run_all(state, target.address, kinds))?;
        let load = Self { shared, thread: Some(thread) };
        load.advance(1)?;
        Ok(load)
    }

    /// Waits until every session has made `steps` more steps.
    ///
    /// # Errors
    /// Where one has failed, or does not get on.
    pub fn advance(&self, steps: u64) -> Result<()> {
        let now = || self.shared.steps.iter().map(|steps| steps.load(Ordering::Relaxed));
        let goal: Vec<u64> = now().map(|made| made + steps).collect();
        wait::until_true("every session of the load gets on", || {
            !self.failures().is_empty() || now().zip(&goal).all(|(made, goal)| made >= *goal)
        })?;
        self.check()
    }

    /// Ends the sessions in order.
    ///
    /// # Errors
    /// Where one has failed: was reset, stalled, or received what was not sent.
    pub fn finish(mut self) -> Result<()> {
        self.stop();
        self.check()
    }

    /// What was done so far.
    pub fn progress(&self) -> Progress {
        let Shared { requests, bytes, .. } = &*self.shared;
        Progress { requests: requests.load(Ordering::Relaxed), bytes: bytes.load(Ordering::Relaxed) }
    }

    /// What failed so far.
    pub fn failures(&self) -> Vec<String> {
        self.shared.failures.lock().map(|failures| failures.clone()).unwrap_or_default()
    }

    fn check(&self) -> Result<()> {
        let failures = self.failures();
        if !failures.is_empty() {
            bail!("{} sessions failed: {}", failures.len(), failures.join("; "));
        }
        Ok(())
    }

    fn stop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(Err(panic)) = self.thread.take().map(JoinHandle::join) {
            std::panic::resume_unwind(panic);
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
    }
}

async fn run_all(shared: Arc<Shared>, target: SocketAddr, kinds: Vec<Kind>) {
    let mut tasks = JoinSet::new();
    for (number, kind) in kinds.into_iter().enumerate() {
        let shared = Arc::clone(&shared);
        tasks.spawn(async move {
            let client = Client { shared: &shared, number };
            if let Err(error) = (Session { target, observer: &client }).run(kind).await {
                let after = shared.steps[number].load(Ordering::Relaxed);
                let failure = format!("{kind:?} {number} after {after} steps: {error:#}");
                if let Ok(mut failures) = shared.failures.lock() {
                    failures.push(failure);
                }
            }
        });
    }
    tasks.join_all().await;
}

struct Client<'a> {
    shared: &'a Shared,
    number: usize,
}

impl Observer for Client<'_> {
    /// Leaves the machine room for other tests.
    const PAUSE: Duration = Duration::from_millis(2);
    const PATIENCE: Duration = PATIENCE;
    const RECEIVED_AT_ONCE: usize = pattern::MAX_LEN;

    fn count(&self, done: Done) {
        let Shared { requests, bytes, .. } = self.shared;
        match done {
            Done::Request => requests.fetch_add(1, Ordering::Relaxed),
            Done::Bytes(count) => bytes.fetch_add(count as u64, Ordering::Relaxed),
            Done::Connection(_) => return,
        };
    }

    fn step(&self) {
        self.shared.steps[self.number].fetch_add(1, Ordering::Relaxed);
    }

    fn stops(&self) -> bool {
        self.shared.stop.load(Ordering::Relaxed)
    }
}
