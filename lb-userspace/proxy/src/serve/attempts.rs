//! Attempts at endpoints: the first, and others where that is safe and the policy wants it.

use std::{
    net::{IpAddr, SocketAddr},
    rc::Rc,
    time::Instant,
};

use hyper::{Method, Request, Response, StatusCode, http::request::Parts};

use super::{
    affinity,
    hash_key::{self, cookie},
    route_state::{Forward, RouteState},
    thread::Thread,
};
use crate::{
    body::{BodyFailure, RequestBody},
    config::{NextUpstream, Retry},
    upstream::{self, Endpoint, Failed, Failure, Tunnel, UpstreamBody},
};

/// Why no endpoint answered.
#[derive(Debug)]
pub(super) enum GivenUp {
    /// There is none, or all were tried.
    NoEndpoint,
    /// The client's body ended early.
    Body(BodyFailure),
    /// The last attempt.
    Failed(Failure),
}

impl GivenUp {
    /// What the client is told.
    pub(super) const fn status(&self) -> StatusCode {
        match self {
            Self::NoEndpoint => StatusCode::SERVICE_UNAVAILABLE,
            Self::Body(BodyFailure::TooLarge) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Body(BodyFailure::Malformed) => StatusCode::BAD_REQUEST,
            Self::Body(BodyFailure::Stalled) => StatusCode::REQUEST_TIMEOUT,
            Self::Failed(failure) if failure.is_timeout() => StatusCode::GATEWAY_TIMEOUT,
            Self::Failed(_) => StatusCode::BAD_GATEWAY,
        }
    }

    /// True where nobody knows where the next request of the client's connection begins.
    pub(super) const fn is_final(&self) -> bool {
        matches!(self, Self::Body(_))
    }
}

/// A request that is being tried.
pub(super) struct Attempts<'a> {
    pub(super) thread: &'a Thread,
    pub(super) state: &'a RouteState,
    pub(super) forward: &'a Forward,
    /// As the endpoint shall see it.
    pub(super) head: Parts,
    pub(super) body: RequestBody,
    pub(super) origin: IpAddr,
    /// Endpoints that failed.
    tried: Vec<SocketAddr>,
    /// Attempts so far.
    pub(super) count: u32,
    /// Where the last attempt went.
    pub(super) endpoint: Option<SocketAddr>,
    began: Instant,
    /// An idle connection has died already: the next one is fresh.
    had_stale: bool,
}

impl<'a> Attempts<'a> {
    /// None made yet.
    pub(super) fn new(
        thread: &'a Thread,
        state: &'a RouteState,
        forward: &'a Forward,
        (head, body): (Parts, RequestBody),
        origin: IpAddr,
        began: Instant,
    ) -> Self {
        let (tried, count, endpoint, had_stale) = (Vec::new(), 0, None, false);
        Self { thread, state, forward, head, body, origin, tried, count, endpoint, began, had_stale }
    }

    /// Sends the request until an endpoint answers, or no other attempt is allowed.
    pub(super) async fn run(&mut self) -> Result<Response<UpstreamBody>, GivenUp> {
        loop {
            let endpoint = self.next()?;
            let request = self.request();
            let timeouts = self.state.route.policy.timeouts;
            let protocol = self.forward.protocol();
            let connector = &self.thread.shared.connector;
            match upstream::send(connector, &endpoint, protocol, timeouts, request).await {
                Ok(response) if !self.is_refusal(response.status()) => return Ok(response),
                Ok(_) => self.tried.push(endpoint.address()),
                Err(failed) => self.failed(&endpoint, failed)?,
            }
        }
    }

    /// As [`Attempts::run`] for a request that asks for another protocol.
    pub(super) async fn run_tunnel(&mut self) -> Result<Tunnel, GivenUp> {
        loop {
            let endpoint = self.next()?;
            let request = self.request();
            let timeouts = self.state.route.policy.timeouts;
            let connector = &self.thread.shared.connector;
            match upstream::tunnel(connector, &endpoint, self.forward.protocol(), timeouts, request).await {
                Ok(tunnel) => return Ok(tunnel),
                Err(failed) => self.failed(&endpoint, failed)?,
            }
        }
    }

    fn next(&mut self) -> Result<Rc<Endpoint>, GivenUp> {
        let upstream = &self.forward.upstream;
        let kept = self
            .cookie()
            .and_then(|value| affinity::endpoint(upstream, value))
            .filter(|endpoint| !self.tried.contains(&endpoint.address()));
        let hash = || {
            hash_key::hash(&self.forward.config.key.balance, self.origin, &self.head.uri, &self.head.headers)
        };
        let endpoint = kept.or_else(|| upstream.choose(&self.tried, hash)).ok_or(GivenUp::NoEndpoint)?;
        self.endpoint = Some(endpoint.address());
        self.count += 1;
        if self.count > 1 {
            self.state.counters.retries.add(1);
        }
        Ok(endpoint)
    }

    /// The value of the affinity cookie, if there is one.
    pub(super) fn cookie(&self) -> Option<&str> {
        let affinity = self.state.route.policy.affinity.as_ref()?;
        cookie(&self.head.headers, &affinity.name)
    }

    /// The head is kept for another attempt. A clone costs less than to tell beforehand that there will be none.
    fn request(&self) -> Request<RequestBody> {
        Request::from_parts(self.head.clone(), self.body.clone())
    }

    fn retry(&self) -> &'a Retry {
        &self.state.route.policy.retry
    }

    /// True where one more attempt is within what the policy allows.
    fn may_try_again(&self) -> bool {
        let retry = self.retry();
        (retry.tries == 0 || self.count < retry.tries)
            && retry.timeout.is_none_or(|limit| self.began.elapsed() < limit)
    }

    /// True where the request may be sent although an endpoint has seen it: it does no more a second time (RFC 9110
    /// §9.2.2), and its body is there still.
    fn is_repeatable(&self) -> bool {
        let idempotent = matches!(
            self.head.method,
            Method::GET | Method::HEAD | Method::OPTIONS | Method::PUT | Method::DELETE | Method::TRACE
        );
        self.body.progress().is_none()
            && (idempotent || self.retry().on.contains(&NextUpstream::NonIdempotent))
    }

    /// True where the policy takes this status for a failure and another endpoint is left to ask.
    fn is_refusal(&self, status: StatusCode) -> bool {
        self.retry().on.contains(&NextUpstream::Status(status.as_u16()))
            && self.may_try_again()
            && self.is_repeatable()
            && self.forward.upstream.endpoints().len() > self.tried.len() + 1
    }

    /// Takes note of a failure; an error where it was the last attempt.
    fn failed(&mut self, endpoint: &Endpoint, Failed { failure, reused }: Failed) -> Result<(), GivenUp> {
        if let Some(failure) = self.body.failure() {
            return Err(GivenUp::Body(failure));
        }
        self.state.counters.error(failure.name());
        tracing::debug!(endpoint = %endpoint.address(), ingress = %self.state.route.ingress, "attempt failed: {failure}");
        let is_safe = (failure.is_unsent() && self.body.progress().is_none()) || self.is_repeatable();
        if reused && is_safe && !self.had_stale && !failure.is_timeout() {
            // It died of idleness; so have the others, most likely. The endpoint itself may be well.
            endpoint.discard_idle();
            self.had_stale = true;
            return Ok(());
        }
        let wanted = match failure {
            Failure::Connect(_) | Failure::Unsent | Failure::Broken(_) => NextUpstream::Error,
            Failure::ConnectTimeout | Failure::Timeout => NextUpstream::Timeout,
            Failure::Invalid(_) => NextUpstream::InvalidHeader,
        };
        self.tried.push(endpoint.address());
        let others = self.forward.upstream.endpoints().len() > self.tried.len();
        if others && is_safe && self.may_try_again() && self.retry().on.contains(&wanted) {
            return Ok(());
        }
        Err(GivenUp::Failed(failure))
    }
}
