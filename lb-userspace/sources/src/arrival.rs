//! When the changes of a snapshot reached the agent.

use std::{
    mem,
    sync::{Arc, Mutex, PoisonError},
    time::{Instant, SystemTime},
};

/// An event that changed something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// When it was read from the connection.
    pub at: Instant,
    /// When the cluster decided it: `endpoints.kubernetes.io/last-change-trigger-time`, where the slice has it.
    pub triggered: Option<SystemTime>,
}

/// The arrivals behind the newest snapshot that nobody has taken yet.
#[derive(Clone, Debug, Default)]
pub struct Arrivals(Arc<Mutex<Vec<Arrival>>>);

impl Arrivals {
    /// Takes them. Do so while the snapshot is borrowed: it cannot be replaced then, and what is taken is exactly what
    /// led to it.
    pub fn take(&self) -> Vec<Arrival> {
        mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Adds those of a snapshot that is being published.
    pub(super) fn add(&self, arrivals: &mut Vec<Arrival>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).append(arrivals);
    }
}
