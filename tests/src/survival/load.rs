//! Load that is held while faults come and go: a session that fails is counted and begun again.

use std::{
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
};

use anyhow::Result;
use tokio::task::JoinSet;

use super::{
    Tally,
    session::{Kind, Session},
};
use crate::{netns::Namespace, wait};

/// How far a session is.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Datagrams that were sent; none over TCP.
    pub(super) sent: AtomicU64,
    /// Steps that ended, well or not; up to which datagram all are answered or given up.
    pub(super) settled: AtomicU64,
    /// Steps that ended well, datagrams that were answered.
    pub(super) succeeded: AtomicU64,
    /// The round that it is in.
    pub(super) round: AtomicU64,
}

/// What the sessions share.
#[derive(Debug, Default)]
pub(super) struct Shared {
    stop: AtomicBool,
    /// Raised for every session to end in order, and begin again.
    round: AtomicU64,
    tally: Mutex<Tally>,
    /// What [`Load::uncounted`] has told of.
    counted: Mutex<Tally>,
    notes: Mutex<Vec<String>>,
    sessions: Vec<Progress>,
}

impl Shared {
    pub(super) fn ended(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    pub(super) fn round(&self) -> u64 {
        self.round.load(Ordering::Relaxed)
    }

    pub(super) fn count(&self, change: impl FnOnce(&mut Tally)) {
        change(&mut self.tally());
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn note(&self, text: String) {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).push(text);
    }

    pub(super) fn session(&self, number: usize) -> &Progress {
        &self.sessions[number]
    }

    fn each(&self, count: fn(&Progress) -> &AtomicU64) -> Vec<u64> {
        self.sessions.iter().map(|session| count(session).load(Ordering::Relaxed)).collect()
    }

    fn settled(&self) -> Vec<u64> {
        self.each(|session| &session.settled)
    }
}

/// Sessions of every kind to every VIP, on a thread of their own.
#[derive(Debug)]
pub struct Load {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Load {
    /// Starts the sessions from a namespace: of each kind one to port 80 of each VIP. Returns once all are at work.
    ///
    /// # Errors
    /// Where one does not get on.
    pub fn start(from: &Namespace, vips: impl IntoIterator<Item = IpAddr>) -> Result<Self> {
        let sessions: Vec<_> =
            vips.into_iter().flat_map(|vip| Kind::ALL.map(|kind| (kind, (vip, 80).into()))).collect();
        let progress = sessions.iter().map(|_| Progress::default()).collect();
        let shared = Arc::new(Shared { sessions: progress, ..Shared::default() });
        let state = Arc::clone(&shared);
        let thread = from.spawn(move || async move {
            let mut tasks = JoinSet::new();
            for (number, (kind, target)) in sessions.into_iter().enumerate() {
                tasks.spawn(Session { shared: Arc::clone(&state), number, target, round: 0 }.run(kind));
            }
            tasks.join_all().await;
        })?;
        let load = Self { shared, thread: Some(thread) };
        load.settle()?;
        Ok(load)
    }

    /// Waits until what is under way now has come to an end: every datagram is answered or given up, and every other
    /// session has made some more steps.
    ///
    /// # Errors
    /// Where a session does not get on.
    pub fn settle(&self) -> Result<()> {
        const STEPS: u64 = 3;
        let sessions = &self.shared.sessions;
        let goals: Vec<u64> = sessions
            .iter()
            .zip(self.shared.settled())
            .map(|(session, settled)| session.sent.load(Ordering::Relaxed).max(settled + STEPS))
            .collect();
        wait::until_true("every session of the load gets on", || {
            self.shared.settled().iter().zip(&goals).all(|(settled, goal)| settled >= goal)
        })
    }

    /// Waits until packets get through again, for every kind of session.
    ///
    /// # Errors
    /// Where they do not.
    pub fn recover(&self) -> Result<()> {
        let succeeded = || self.shared.each(|session| &session.succeeded);
        let before = succeeded();
        wait::until_true("every session of the load succeeds again", || {
            succeeded().iter().zip(&before).all(|(now, before)| now > before)
        })
    }

    /// Ends every session in order and begins it again: no flow is older than this. Returns once all are at work.
    ///
    /// # Errors
    /// Where one does not get on.
    pub fn renew(&self) -> Result<()> {
        let round = self.shared.round.fetch_add(1, Ordering::Relaxed) + 1;
        wait::until_true("every session of the load begins again", || {
            self.shared.each(|session| &session.round).iter().all(|&now| now == round)
        })?;
        self.settle()
    }

    /// What was done so far.
    pub fn tally(&self) -> Tally {
        *self.shared.tally()
    }

    /// What was done since this was last asked.
    pub fn uncounted(&self) -> Tally {
        let mut counted = self.shared.counted.lock().unwrap_or_else(PoisonError::into_inner);
        let tally = self.tally();
        tally.since(&std::mem::replace(&mut counted, tally))
    }

    /// What went wrong since this was last asked, in words.
    pub fn notes(&self) -> Vec<String> {
        std::mem::take(&mut self.shared.notes.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Ends the sessions in order; what they did since [`uncounted`](Self::uncounted) was last asked.
    pub fn finish(mut self) -> Tally {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(Err(panic)) = self.thread.take().map(JoinHandle::join) {
            std::panic::resume_unwind(panic);
        }
        self.uncounted()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
    }
}
