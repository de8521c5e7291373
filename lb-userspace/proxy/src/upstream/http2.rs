//! HTTP/2 to an endpoint: few connections, many requests on each.

use std::{future::Future, time::Duration};

use hyper::{
    Request, Response, Uri, Version,
    body::Incoming,
    client::conn::http2::{self, SendRequest},
    header::{self, HeaderValue},
    http::uri::{Authority, PathAndQuery, Scheme},
    rt::Executor,
};
use hyper_util::rt::TokioTimer;
use tokio::{
    task::spawn_local,
    time::{Instant, timeout_at},
};

use super::Failure;
use crate::{body::RequestBody, transport::Watched};

/// How often a silent connection with streams on it is pinged; the other side has as long again to answer.
const PING: Duration = Duration::from_secs(20);

/// Runs hyper's tasks on this thread.
#[derive(Clone, Copy, Debug)]
struct OnThisThread;

impl<F: Future<Output = ()> + 'static> Executor<F> for OnThisThread {
    fn execute(&self, future: F) {
        spawn_local(future);
    }
}

/// A connection that carries many requests at a time. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Connection(SendRequest<RequestBody>);

impl Connection {
    /// Speaks HTTP/2 on a fresh connection, which is driven by a task of its own.
    pub(super) async fn new(stream: Watched) -> Result<Self, Failure> {
        let (sender, driver) = http2::Builder::new(OnThisThread)
            .timer(TokioTimer::new())
            .keep_alive_interval(PING)
            .keep_alive_timeout(PING)
            .adaptive_window(true)
            .handshake(stream)
            .await
            .map_err(Failure::from_hyper)?;
        spawn_local(async move {
            // Requests on it learn of the error themselves.
            let _ = driver.await;
        });
        Ok(Self(sender))
    }

    /// True until the other side closes it or says that it will.
    pub(super) fn is_open(&self) -> bool {
        !self.0.is_closed()
    }

    /// Sends a request and waits for the head of the response. The wait begins anew with every part of the body that
    /// is sent.
    pub(super) async fn send(
        mut self,
        request: Request<RequestBody>,
        patience: Duration,
    ) -> Result<Response<Incoming>, Failure> {
        let body = request.body().clone();
        self.0.ready().await.map_err(|_| Failure::Unsent)?;
        let mut answer = Box::pin(self.0.try_send_request(request));
        let mut deadline = Instant::now() + patience;
        loop {
            match timeout_at(deadline, answer.as_mut()).await {
                Ok(Ok(response)) => return Ok(response),
                Ok(Err(mut error)) => {
                    let unsent = error.take_message().is_some();
                    let failure = Failure::from_hyper(error.into_error());
                    return Err(if unsent { Failure::Unsent } else { failure });
                }
                Err(_) => match body.progress() {
                    Some(progress) if progress.elapsed() < patience => deadline = progress + patience,
                    _ => return Err(Failure::Timeout),
                },
            }
        }
    }
}

/// Turns a request as HTTP/1.1 has it into one of HTTP/2: the host is `:authority` (RFC 9113 §8.3.1).
pub(super) fn translate<B>(request: &mut Request<B>, encrypted: bool) {
    let scheme = if encrypted { Scheme::HTTPS } else { Scheme::HTTP };
    let host = request.headers_mut().remove(header::HOST);
    let authority = host.as_ref().map(HeaderValue::as_bytes).and_then(|host| Authority::try_from(host).ok());
    let mut parts = std::mem::take(request.uri_mut()).into_parts();
    parts.scheme = Some(scheme);
    parts.authority = Some(authority.unwrap_or_else(|| Authority::from_static("localhost")));
    parts.path_and_query.get_or_insert_with(|| PathAndQuery::from_static("/"));
    // Scheme, authority and path are all there, which is all that can be missing.
    *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
    *request.version_mut() = Version::HTTP_2;
}
