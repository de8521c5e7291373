//! One request, from its head to its response.

use std::{convert::Infallible, rc::Rc, time::Instant};

use hyper::{
    HeaderMap, Request, Response, StatusCode, Version,
    body::{Body, Incoming},
    header::{self, HeaderValue},
    http::request::Parts,
};

use super::{
    activity::UnderWay,
    affinity, answer,
    attempts::{Attempts, GivenUp},
    connection::Connection,
    custom_error,
    decide::{self, Decision, Plan},
    forward,
    route_state::RouteState,
    websocket,
};
use crate::{
    body::{RequestBody, ResponseBody},
    observe::{Entry, Record},
};

const SERVER: HeaderValue = HeaderValue::from_static("sluice");

/// A request that is being handled.
pub(super) struct Exchange {
    pub(super) connection: Rc<Connection>,
    pub(super) began: Instant,
    pub(super) under_way: UnderWay,
    /// For the access log.
    pub(super) entry: Option<Box<Entry>>,
}

/// Handles a request.
pub(super) async fn handle(
    connection: Rc<Connection>,
    request: Request<Incoming>,
) -> Result<Response<ResponseBody>, Infallible> {
    let began = Instant::now();
    let under_way = UnderWay::new(connection.activity.clone());
    let entry = connection.open.thread.log.as_ref().map(|_| Box::new(entry(&connection, &request)));
    let decision = decide::decide(&connection, &request, began);
    let mut exchange = Exchange { connection, began, under_way, entry };
    let (response, state) = match decision {
        Decision::Answer(response, state) => (response, state),
        Decision::Forward(plan) if plan.is_websocket => {
            // Boxed: the way that few requests take would make the future of all of them large.
            Box::pin(websocket::open(&mut exchange, request, plan)).await
        }
        Decision::Forward(plan) => pass(&mut exchange, request, plan).await,
    };
    Ok(exchange.finish(response, state))
}

/// What the access log says of a request.
fn entry(connection: &Connection, request: &Request<Incoming>) -> Entry {
    let headers = request.headers();
    let host = request.uri().authority().map(|authority| authority.as_str());
    let host = host.or_else(|| headers.get(header::HOST).and_then(|host| host.to_str().ok()));
    Entry {
        client: connection.client.address,
        method: request.method().clone(),
        host: host.unwrap_or_default().to_owned(),
        uri: request.uri().clone(),
        version: request.version(),
        is_tls: connection.client.is_tls,
        user_agent: headers.get(header::USER_AGENT).cloned(),
        referer: headers.get(header::REFERER).cloned(),
        route: None,
        endpoint: None,
        attempts: 0,
    }
}

/// Sends a request to an endpoint, and passes on what it answers.
async fn pass(
    exchange: &mut Exchange,
    request: Request<Incoming>,
    plan: Plan,
) -> (Response<ResponseBody>, Option<Rc<RouteState>>) {
    let (mut head, incoming) = request.into_parts();
    let version = head.version;
    let policy = plan.state.route.policy.clone();
    if let (Some(limit), Some(length)) = (policy.body_limit, incoming.size_hint().exact())
        && length > limit
    {
        let mut response = answer::status(StatusCode::PAYLOAD_TOO_LARGE);
        answer::close(&mut response, version);
        return (response, Some(plan.state));
    }
    let connection = exchange.connection.clone();
    let thread = &connection.open.thread;
    let patience = thread.shared.settings.client_timeout;
    let body = RequestBody::new(incoming, policy.body_limit, patience);
    prepare(&mut head, &plan, &connection);
    if !body.is_empty() && body.size_hint().exact().is_none() {
        // hyper leaves out a body of unknown length where the method seldom has one.
        head.headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    let Plan { state, origin, is_secure, cors, permit, .. } = plan;
    exchange.under_way.hold(permit);
    let Some(forward) = &state.forward else {
        return (answer::status(StatusCode::SERVICE_UNAVAILABLE), Some(state));
    };
    let mut attempts = Attempts::new(thread, &state, forward, (head, body), origin, exchange.began);
    let result = attempts.run().await;
    exchange.note(attempts.endpoint, attempts.count);
    let mut response = match result {
        Ok(response) if policy.custom_errors.contains(&response.status().as_u16()) => {
            Box::pin(custom_error::replace(&attempts, response)).await
        }
        Ok(response) => response.map(ResponseBody::upstream),
        Err(GivenUp::NoEndpoint) => Box::pin(custom_error::unavailable(&attempts)).await,
        Err(given_up) => failed(&given_up, version),
    };
    let headers = response.headers_mut();
    forward::strip_response(headers);
    if let Some(affinity) = &policy.affinity
        && let Some(endpoint) = attempts.endpoint
    {
        let kept = attempts.cookie().and_then(|value| affinity::endpoint(&forward.upstream, value));
        let moved =
            affinity.change_on_failure && kept.as_ref().is_some_and(|kept| kept.address() != endpoint);
        if kept.is_none() || moved {
            let cookie = affinity::set_cookie(affinity, endpoint, is_secure);
            cookie.map(|cookie| headers.append(header::SET_COOKIE, cookie));
        }
    }
    if let (Some(origin), Some(answers)) = (cors, &state.cors) {
        answers.add(headers, origin);
    }
    drop(attempts);
    (response, Some(state))
}

/// What a client is told where no endpoint answered.
pub(super) fn failed(given_up: &GivenUp, version: Version) -> Response<ResponseBody> {
    let mut response = answer::status(given_up.status());
    if given_up.is_final() {
        answer::close(&mut response, version);
    }
    response
}

/// Makes the head of a request what the endpoint shall see.
pub(super) fn prepare(head: &mut Parts, plan: &Plan, connection: &Connection) {
    let client = &connection.client;
    let headers = &mut head.headers;
    if let Some(uri) = &plan.uri {
        head.uri = uri.clone();
    }
    forward::strip(headers, &plan.fields, client);
    // Before a virtual host of the endpoint's own replaces it.
    let asked = plan.host.clone().filter(|_| plan.state.upstream_vhost.is_none());
    asked.map(|host| headers.insert(header::HOST, host));
    forward::add(headers, client, plan.origin, plan.state.forwarded_prefix.as_ref());
    if let Some(vhost) = &plan.state.upstream_vhost {
        headers.insert(header::HOST, vhost.clone());
    }
    if head.version == Version::HTTP_10 {
        // It may name none; HTTP/1.1 has to say that there is none (RFC 9112 §3.2).
        headers.entry(header::HOST).or_insert(HeaderValue::from_static(""));
    }
    head.version = Version::HTTP_11;
    if plan.fields.repeats {
        join_cookies(headers);
    }
}

/// HTTP/2 may split `Cookie` (RFC 9113 §8.2.3); HTTP/1.1 knows one.
fn join_cookies(headers: &mut HeaderMap) {
    let mut crumbs = headers.get_all(header::COOKIE).iter();
    if crumbs.next().is_none() || crumbs.next().is_none() {
        return;
    }
    let crumbs: Vec<_> = headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if let Ok(cookie) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..])) {
        headers.insert(header::COOKIE, cookie);
    }
}

impl Exchange {
    /// Takes note of where the request went.
    pub(super) fn note(&mut self, endpoint: Option<std::net::SocketAddr>, attempts: u32) {
        if let Some(entry) = &mut self.entry {
            (entry.endpoint, entry.attempts) = (endpoint, attempts);
        }
    }

    /// What every response has, and the record that its body closes.
    fn finish(
        self,
        mut response: Response<ResponseBody>,
        state: Option<Rc<RouteState>>,
    ) -> Response<ResponseBody> {
        let thread = &self.connection.open.thread;
        *response.version_mut() = Version::HTTP_11;
        response.headers_mut().insert(header::SERVER, SERVER);
        let route = state.as_ref().map(|state| &state.route);
        let is_logged = route.is_none_or(|route| route.policy.access_log);
        let log = thread.log.clone().zip(self.entry).filter(|_| is_logged).map(|(log, mut entry)| {
            entry.route = route.cloned();
            (log, entry)
        });
        let counters = state.as_ref().map_or(&thread.unrouted, |state| &state.counters).clone();
        let record = Record::new(counters, self.began, response.status().as_u16(), log);
        response.map(|body| body.recorded(record, self.under_way))
    }
}
