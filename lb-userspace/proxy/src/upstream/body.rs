//! The body of an endpoint's response.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use hyper::body::Incoming;
use tokio::time::Instant;

use super::{endpoint::InFlight, http1::Http1Body};
use crate::{body::BodyError, transport::LazyTimer};

/// A body from whichever kind of connection. Its request is under way until it is dropped.
#[derive(Debug)]
pub(crate) struct UpstreamBody {
    kind: Kind,
    _in_flight: InFlight,
}

#[derive(Debug)]
pub(super) enum Kind {
    /// Drives its connection itself.
    Http1(Http1Body),
    /// Its connection is driven by another task.
    Stream(StreamBody),
}

impl UpstreamBody {
    pub(super) const fn new(kind: Kind, in_flight: InFlight) -> Self {
        Self { kind, _in_flight: in_flight }
    }
}

impl Body for UpstreamBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut self.kind {
            Kind::Http1(body) => Pin::new(body).poll_frame(cx),
            Kind::Stream(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Http1(body) => body.is_end_stream(),
            Kind::Stream(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Http1(body) => body.size_hint(),
            Kind::Stream(body) => body.size_hint(),
        }
    }
}

/// A body whose connection is driven by another task.
#[derive(Debug)]
pub(super) struct StreamBody {
    incoming: Incoming,
    patience: Duration,
    timer: LazyTimer,
}

impl StreamBody {
    /// Its next part must come within `patience`.
    pub(super) fn new(incoming: Incoming, patience: Duration) -> Self {
        Self { incoming, patience, timer: LazyTimer::default() }
    }
}

impl Body for StreamBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        if let Poll::Ready(frame) = Pin::new(&mut this.incoming).poll_frame(cx) {
            this.timer.stop();
            return Poll::Ready(frame.map(|frame| frame.map_err(BodyError::Broken)));
        }
        if !this.timer.is_running() {
            this.timer.restart(Instant::now(), this.patience);
        }
        ready!(this.timer.poll(cx));
        Poll::Ready(Some(Err(BodyError::Timeout)))
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
