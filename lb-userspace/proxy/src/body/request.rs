//! The body of a request, from the client to an endpoint.

use std::{
    cell::{Cell, RefCell},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::Instant;

use crate::transport::LazyTimer;

/// Why a body ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BodyFailure {
    /// More bytes than `proxy-body-size`.
    #[error("the request body is larger than its Ingress allows")]
    TooLarge,
    /// The client broke the framing, or left.
    #[error("the request body is broken")]
    Malformed,
    /// The client sent nothing for too long.
    #[error("the client stopped sending the request body")]
    Stalled,
}

/// A handle on a client's body. Clones share it: an attempt that never began to read leaves the body to the next.
#[derive(Clone, Debug)]
pub(crate) struct RequestBody(Option<Rc<Shared>>);

#[derive(Debug)]
struct Shared {
    incoming: RefCell<Incoming>,
    /// Bytes that may still come.
    allowed: Cell<Option<u64>>,
    failure: Cell<Option<BodyFailure>>,
    /// When something was last taken from it.
    progress: Cell<Option<Instant>>,
    patience: Duration,
    timer: RefCell<LazyTimer>,
}

impl RequestBody {
    /// Takes over a client's body of `limit` bytes at most, from a client that never pauses longer than `patience`.
    pub(crate) fn new(incoming: Incoming, limit: Option<u64>, patience: Duration) -> Self {
        if incoming.is_end_stream() {
            return Self(None);
        }
        Self(Some(Rc::new(Shared {
            incoming: RefCell::new(incoming),
            allowed: Cell::new(limit),
            failure: Cell::new(None),
            progress: Cell::new(None),
            patience,
            timer: RefCell::default(),
        })))
    }

    /// Nothing at all.
    pub(crate) const fn empty() -> Self {
        Self(None)
    }

    /// True where there is no body.
    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Why it ended early, if it did.
    pub(crate) fn failure(&self) -> Option<BodyFailure> {
        self.0.as_ref().and_then(|shared| shared.failure.get())
    }

    /// When something was last taken from it; none where it is whole still, and another attempt may have it.
    pub(crate) fn progress(&self) -> Option<Instant> {
        self.0.as_ref().and_then(|shared| shared.progress.get())
    }
}

impl Shared {
    fn poll(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyFailure>>> {
        if let Some(failure) = self.failure.get() {
            return Poll::Ready(Some(Err(failure)));
        }
        let frame = Pin::new(&mut *self.incoming.borrow_mut()).poll_frame(cx);
        let result = match frame {
            Poll::Pending => {
                let mut timer = self.timer.borrow_mut();
                if !timer.is_running() {
                    timer.restart(Instant::now(), self.patience);
                }
                match timer.poll(cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(()) => Err(BodyFailure::Stalled),
                }
            }
            Poll::Ready(None) => return Poll::Ready(None),
            Poll::Ready(Some(Err(_))) => Err(BodyFailure::Malformed),
            Poll::Ready(Some(Ok(frame))) => self.count(frame),
        };
        self.progress.set(Some(Instant::now()));
        self.timer.borrow_mut().stop();
        if let Err(failure) = result {
            self.failure.set(Some(failure));
        }
        Poll::Ready(Some(result))
    }

    fn count(&self, frame: Frame<Bytes>) -> Result<Frame<Bytes>, BodyFailure> {
        if let (Some(allowed), Some(data)) = (self.allowed.get(), frame.data_ref()) {
            let left = allowed.checked_sub(data.len() as u64).ok_or(BodyFailure::TooLarge)?;
            self.allowed.set(Some(left));
        }
        Ok(frame)
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyFailure;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFailure>>> {
        match &self.0 {
            None => Poll::Ready(None),
            Some(shared) => shared.poll(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        // A failure is told by the next poll, not taken for a regular end.
        self.0
            .as_ref()
            .is_none_or(|shared| shared.failure.get().is_none() && shared.incoming.borrow().is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            None => SizeHint::with_exact(0),
            Some(shared) => shared.incoming.borrow().size_hint(),
        }
    }
}
