//! The tasks of HTTP/2 streams, each of which ends when its client reads nothing of the response for too long.
//!
//! On HTTP/1.1 such a client leaves the socket full. On HTTP/2 the socket is fine, and a stream's window stays shut
//! (sozu 2.0.2 calls it window stall): hyper waits for it without a limit.

use std::{
    cell::Cell,
    future::Future,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use hyper::rt::Executor;
use tokio::{
    task::{futures::TaskLocalFuture, spawn_local},
    task_local,
    time::Instant,
};

use crate::transport::LazyTimer;

task_local! {
    static STALL: Rc<Stall>;
}

/// Since when a response waits for its client; none while the client waits for the response.
#[derive(Debug, Default)]
pub(crate) struct Stall(Cell<Option<Instant>>);

impl Stall {
    /// That of the stream whose task runs; none on HTTP/1.1.
    pub(super) fn current() -> Option<Rc<Self>> {
        STALL.try_with(Rc::clone).ok()
    }

    /// The client has something to read.
    pub(crate) fn begin(&self) {
        self.0.set(Some(Instant::now()));
    }

    /// The client has read it.
    pub(crate) fn end(&self) {
        self.0.set(None);
    }
}

/// Runs the tasks of a connection's streams.
#[derive(Clone, Copy, Debug)]
pub(super) struct Streams {
    pub(super) patience: Duration,
}

impl<F: Future<Output = ()> + 'static> Executor<F> for Streams {
    fn execute(&self, future: F) {
        let stall = Rc::<Stall>::default();
        let future = Box::pin(STALL.scope(stall.clone(), future));
        spawn_local(Task { future, stall, timer: LazyTimer::default(), patience: self.patience });
    }
}

struct Task<F> {
    future: Pin<Box<TaskLocalFuture<Rc<Stall>, F>>>,
    stall: Rc<Stall>,
    timer: LazyTimer,
    patience: Duration,
}

impl<F: Future<Output = ()>> Future for Task<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        if this.future.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let Some(since) = this.stall.0.get() else { return Poll::Pending };
        this.timer.restart(since, this.patience);
        // To drop a stream is to reset it.
        this.timer.poll(cx)
    }
}
