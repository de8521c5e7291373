//! HTTP/1.1 to an endpoint.
//!
//! hyper's client hands requests to a connection over channels, so that the two may be different tasks. Here they are
//! one: whoever waits for a response drives the connection, and nothing is woken to pass a message on. Hence the rule
//! below: first the connection is driven, behind a [`Gate`], then the channels are looked at with no waker at all, and
//! with the gate shut, for what that asks of the connection is driven next.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::{
    Request, Response,
    body::Incoming,
    client::conn::http1::{self, SendRequest},
};
use tokio::time::Instant;

use super::{Endpoint, Failure, gate::Gate};
use crate::{
    body::{BodyError, RequestBody},
    transport::{LazyTimer, Watched},
};

/// A connection that carries one request at a time.
#[derive(Debug)]
pub(super) struct Connection(Box<Inner>);

#[derive(Debug)]
struct Inner {
    sender: SendRequest<RequestBody>,
    driver: http1::Connection<Watched, RequestBody>,
    /// The driver has returned, and must not be polled again.
    ended: bool,
    timer: LazyTimer,
    gate: Gate,
}

impl Connection {
    /// Speaks HTTP/1.1 on a fresh connection.
    pub(super) async fn new(stream: Watched) -> Result<Self, Failure> {
        let (sender, driver) = http1::handshake(stream).await.map_err(Failure::from_hyper)?;
        let inner =
            Inner { sender, driver, ended: false, timer: LazyTimer::default(), gate: Gate::default() };
        Ok(Self(Box::new(inner)))
    }

    /// True where another request may be sent. Leaves no waker behind: an idle connection wakes nobody.
    pub(super) fn is_reusable(&mut self) -> bool {
        self.drive(&Context::from_waker(Waker::noop()));
        !self.0.ended && self.0.sender.is_ready()
    }

    fn drive(&mut self, cx: &Context<'_>) {
        let Inner { driver, ended, gate, .. } = &mut *self.0;
        if !*ended {
            *ended = gate.open(cx, |cx| Pin::new(driver).poll(cx).is_ready());
        }
    }

    /// Sends a request and waits for the head of the response. The wait begins anew with every part of the body that
    /// is sent.
    pub(super) async fn send(
        mut self,
        request: Request<RequestBody>,
        patience: Duration,
    ) -> Result<(Response<Incoming>, Self), Failure> {
        let body = request.body().clone();
        let Inner { sender, gate, .. } = &mut *self.0;
        let mut answer = pin!(gate.shut(|| sender.try_send_request(request)));
        self.0.timer.restart(Instant::now(), patience);
        let response = poll_fn(|cx| {
            self.drive(cx);
            match answer.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(Ok(response)) => Poll::Ready(Ok(response)),
                Poll::Ready(Err(mut error)) => {
                    let unsent = error.take_message().is_some();
                    let failure = Failure::from_hyper(error.into_error());
                    Poll::Ready(Err(if unsent { Failure::Unsent } else { failure }))
                }
                Poll::Pending => self.poll_patience(cx, &body, patience).map(Err),
            }
        })
        .await?;
        self.0.timer.stop();
        Ok((response, self))
    }

    fn poll_patience(
        &mut self,
        cx: &mut Context<'_>,
        body: &RequestBody,
        patience: Duration,
    ) -> Poll<Failure> {
        while self.0.timer.poll(cx).is_ready() {
            match body.progress() {
                Some(progress) if progress.elapsed() < patience => self.0.timer.restart(progress, patience),
                _ => return Poll::Ready(Failure::Timeout),
            }
        }
        Poll::Pending
    }
}

/// The body of a response. The connection goes back to its endpoint once the body has been read to its end.
#[derive(Debug)]
pub(crate) struct Http1Body {
    incoming: Incoming,
    connection: Option<Connection>,
    endpoint: Rc<Endpoint>,
    patience: Duration,
}

impl Http1Body {
    /// The body that `connection` is about to bring.
    pub(super) fn new(
        incoming: Incoming,
        connection: Connection,
        endpoint: Rc<Endpoint>,
        patience: Duration,
    ) -> Self {
        let mut body = Self { incoming, connection: Some(connection), endpoint, patience };
        if body.incoming.is_end_stream() {
            body.release();
        }
        body
    }

    fn release(&mut self) {
        if let Some(mut connection) = self.connection.take()
            && connection.is_reusable()
        {
            self.endpoint.park(connection);
        }
    }

    fn poll_incoming(&mut self) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let incoming = Pin::new(&mut self.incoming);
        let look = || incoming.poll_frame(&mut Context::from_waker(Waker::noop()));
        let frame = match &self.connection {
            Some(connection) => connection.0.gate.shut(look),
            None => look(),
        };
        match &frame {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Some(Ok(_))) if !self.incoming.is_end_stream() => {
                if let Some(connection) = &mut self.connection {
                    connection.0.timer.stop();
                }
            }
            Poll::Ready(Some(Ok(_)) | None) => self.release(),
            Poll::Ready(Some(Err(_))) => self.connection = None,
        }
        frame.map(|frame| frame.map(|frame| frame.map_err(BodyError::Broken)))
    }
}

impl Body for Http1Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        // What is here already comes first: asking for it tells the connection to read on.
        if let Poll::Ready(frame) = self.poll_incoming() {
            return Poll::Ready(frame);
        }
        if let Some(connection) = &mut self.connection {
            connection.drive(cx);
        }
        if let Poll::Ready(frame) = self.poll_incoming() {
            return Poll::Ready(frame);
        }
        let patience = self.patience;
        let Some(connection) = &mut self.connection else { return Poll::Ready(None) };
        let timer = &mut connection.0.timer;
        if !timer.is_running() {
            timer.restart(Instant::now(), patience);
        }
        if timer.poll(cx).is_ready() {
            self.connection = None;
            return Poll::Ready(Some(Err(BodyError::Timeout)));
        }
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
