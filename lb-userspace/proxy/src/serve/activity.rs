//! Whether a connection is busy.

use std::{cell::Cell, rc::Rc};

use super::{limits::Permit, streams::Stall};

/// Requests under way on one connection.
#[derive(Debug, Default)]
pub(crate) struct Activity {
    requests: Cell<usize>,
}

impl Activity {
    /// True while a request is under way.
    pub(super) const fn is_busy(&self) -> bool {
        self.requests.get() > 0
    }
}

/// A request under way; over when it is dropped.
#[derive(Debug)]
pub(crate) struct UnderWay {
    activity: Rc<Activity>,
    /// What it takes of its client's limits.
    permit: Option<Permit>,
    /// Whether its stream waits for the client.
    stall: Option<Rc<Stall>>,
}

impl UnderWay {
    /// One more.
    pub(super) fn new(activity: Rc<Activity>) -> Self {
        activity.requests.set(activity.requests.get() + 1);
        Self { activity, permit: None, stall: Stall::current() }
    }

    /// There is something for the client to read.
    pub(crate) fn wait_for_client(&self) {
        self.stall.iter().for_each(|stall| stall.begin());
    }

    /// The client has room for more.
    pub(crate) fn client_reads(&self) {
        self.stall.iter().for_each(|stall| stall.end());
    }

    /// Holds the permit as long as the request lasts.
    pub(super) fn hold(&mut self, permit: Option<Permit>) {
        self.permit = permit;
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.activity.requests.set(self.activity.requests.get() - 1);
    }
}
