//! Counters of one thread, read by another at a scrape.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// Upper bounds of the duration buckets, in seconds.
pub(crate) const BUCKETS: [f64; 11] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 60.0];

/// Names of upstream errors, see [`crate::upstream::Failure::name`].
pub(crate) const ERRORS: [&str; 6] = ["connect", "connect_timeout", "closed", "broken", "timeout", "invalid"];

/// A counter that one thread writes: no locked instruction is needed.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    /// Adds. Only the thread that owns the counter may.
    pub(crate) fn add(&self, more: u64) {
        self.0.store(self.0.load(Relaxed) + more, Relaxed);
    }

    /// One less, for what is open. Only the thread that owns the counter may.
    pub(crate) fn subtract_one(&self) {
        self.0.store(self.0.load(Relaxed) - 1, Relaxed);
    }

    /// What was counted.
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// One thread's counters of one Ingress.
#[derive(Debug, Default)]
pub(crate) struct IngressCounters {
    /// By the first digit of the status.
    pub(crate) classes: [Count; 6],
    /// By duration, the last beyond all of [`BUCKETS`].
    pub(crate) durations: [Count; BUCKETS.len() + 1],
    /// Nanoseconds in all.
    pub(crate) nanoseconds: Count,
    /// Bytes of response bodies.
    pub(crate) sent: Count,
    /// Attempts that failed, by [`ERRORS`].
    pub(crate) errors: [Count; ERRORS.len()],
    /// Attempts after the first.
    pub(crate) retries: Count,
    /// Requests that were answered 503 because their client asked too much.
    pub(crate) limited: Count,
}

impl IngressCounters {
    /// A request has ended.
    pub(crate) fn request(&self, status: u16, took: Duration, sent: u64) {
        self.classes[usize::from(status / 100).min(5)].add(1);
        let seconds = took.as_secs_f64();
        let bucket = BUCKETS.iter().position(|bound| seconds <= *bound).unwrap_or(BUCKETS.len());
        self.durations[bucket].add(1);
        self.nanoseconds.add(took.as_nanos() as u64);
        self.sent.add(sent);
    }

    /// An attempt at an endpoint has failed.
    pub(crate) fn error(&self, name: &str) {
        if let Some(position) = ERRORS.iter().position(|error| *error == name) {
            self.errors[position].add(1);
        }
    }
}

/// One thread's counters of its connections.
#[derive(Debug, Default)]
pub(crate) struct ConnectionCounters {
    /// Accepted over plain TCP.
    pub(crate) http: Count,
    /// Accepted over TLS.
    pub(crate) https: Count,
    /// Open now.
    pub(crate) open: Count,
    /// TLS handshakes that came to nothing.
    pub(crate) failed_handshakes: Count,
    /// Connections that were switched to WebSocket and are open.
    pub(crate) tunnels: Count,
}
