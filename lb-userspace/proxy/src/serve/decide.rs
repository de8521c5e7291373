//! What becomes of a request, before anything is sent anywhere. Nothing here waits.

use std::{net::IpAddr, rc::Rc, time::Instant};

use hyper::{Request, Response, StatusCode, Uri, body::Body, header::HeaderValue, http::uri::PathAndQuery};

use super::{
    answer,
    client::is_in,
    connection::Connection,
    cors::is_preflight,
    forward,
    guard::{self, Fields, Target},
    limits::Permit,
    redirect,
    route_state::RouteState,
};
use crate::{body::ResponseBody, config::Action};

/// Where certificate authorities look for proof (RFC 8555 §8.3), over plain HTTP and without any redirect.
pub(super) const ACME: &str = "/.well-known/acme-challenge/";

/// What becomes of a request.
pub(super) enum Decision {
    /// The proxy answers itself; for the route, if there is one.
    Answer(Response<ResponseBody>, Option<Rc<RouteState>>),
    /// It goes to an endpoint.
    Forward(Plan),
}

/// A request on its way to an endpoint.
pub(super) struct Plan {
    pub(super) state: Rc<RouteState>,
    /// The target, where it differs from what the client wrote.
    pub(super) uri: Option<Uri>,
    /// `Host`, where it differs.
    pub(super) host: Option<HeaderValue>,
    pub(super) fields: Fields,
    pub(super) origin: IpAddr,
    pub(super) is_secure: bool,
    pub(super) is_websocket: bool,
    /// `Access-Control-Allow-Origin` of the response.
    pub(super) cors: Option<HeaderValue>,
    pub(super) permit: Option<Permit>,
}

/// Decides about a request.
pub(super) fn decide<B: Body>(connection: &Connection, request: &Request<B>, now: Instant) -> Decision {
    let target = match guard::check(request) {
        Ok(target) => target,
        Err(refused) => return Decision::Answer(answer::refused(refused, request.version()), None),
    };
    let thread = &connection.open.thread;
    let config = thread.shared.config.load();
    let Some(found) = config.routes.find(&target.host, &target.path) else {
        return Decision::Answer(answer::status(StatusCode::NOT_FOUND), None);
    };
    let state = thread.routes.get(&config, found.route, &thread.shared, &thread.upstreams);
    let client = &connection.client;
    let trusted = &thread.shared.settings.trusted_proxies;
    let origin = forward::origin(client, &target.fields, request.headers(), trusted);
    let is_secure = forward::is_secure(client, &target.fields, request.headers());
    let (cors, permit) = match screen(&state, request, &target, origin, is_secure, now) {
        Ok(passed) => passed,
        Err(response) => return Decision::Answer(*response, Some(state)),
    };
    let path = state.route.rewrite.as_ref().map(|rewrite| rewrite.apply(&target.path, &found.captures));
    let uri = match path {
        // Nothing to change, and nothing to copy.
        None if target.path == request.uri().path() && request.uri().authority().is_none() => None,
        path => match uri(path.as_deref().unwrap_or(&target.path), target.query) {
            Some(uri) => Some(uri),
            None => {
                // An escape that a group of a rewrite cut in two.
                let response = answer::status(StatusCode::BAD_REQUEST);
                return Decision::Answer(response, Some(state));
            }
        },
    };
    let host = match (&state.upstream_vhost, request.uri().authority()) {
        (Some(vhost), _) => Some(vhost.clone()),
        (None, Some(authority)) => HeaderValue::try_from(authority.as_str()).ok(),
        (None, None) => None,
    };
    let is_websocket = target.fields.upgrade && guard::is_websocket(request, !request.body().is_end_stream());
    let fields = target.fields;
    Decision::Forward(Plan { state, uri, host, fields, origin, is_secure, is_websocket, cors, permit })
}

type Passed = (Option<HeaderValue>, Option<Permit>);

/// What the policy of the route has against the request, in the order in which nginx asks.
fn screen<B>(
    state: &RouteState,
    request: &Request<B>,
    target: &Target<'_>,
    origin: IpAddr,
    is_secure: bool,
    now: Instant,
) -> Result<Passed, Box<Response<ResponseBody>>> {
    let (route, policy) = (&state.route, &state.route.policy);
    if !is_secure && !target.path.starts_with(ACME) {
        if !policy.allow_http {
            return Err(Box::new(answer::status(StatusCode::NOT_FOUND)));
        }
        if let Some(response) = redirect::to_https(route, target) {
            return Err(Box::new(response));
        }
    }
    let access = &policy.access;
    if is_in(&access.deny, origin) || !(access.allow.is_empty() || is_in(&access.allow, origin)) {
        return Err(Box::new(answer::status(StatusCode::FORBIDDEN)));
    }
    let permit = match &state.limiter {
        None => None,
        // As nginx answers unless limit_req_status says otherwise.
        Some(limiter) => Some(limiter.admit(origin, now).ok_or_else(|| {
            state.counters.limited.add(1);
            Box::new(answer::status(StatusCode::SERVICE_UNAVAILABLE))
        })?),
    };
    let cors = state.cors.as_ref().and_then(|cors| cors.allowed(request));
    if let Some(answers) = &state.cors
        && is_preflight(request)
    {
        return Err(Box::new(answers.preflight(cors)));
    }
    if let Some(root) = &policy.app_root
        && target.path == "/"
        && let Some(response) = answer::redirect(StatusCode::FOUND, root)
    {
        return Err(Box::new(response));
    }
    match &route.action {
        Action::Forward(_) => Ok((cors, permit)),
        Action::Redirect(redirect) => Err(Box::new(redirect::answer(redirect, target, is_secure))),
        Action::Unavailable(reason) => {
            tracing::debug!(ingress = %route.ingress, "unavailable: {reason}");
            Err(Box::new(answer::status(StatusCode::SERVICE_UNAVAILABLE)))
        }
    }
}

/// A target in origin form. What a rewrite makes may hold a query of its own.
fn uri(path: &str, query: Option<&str>) -> Option<Uri> {
    let target = match query {
        None => PathAndQuery::try_from(path),
        Some(query) => {
            let separator = if path.contains('?') { '&' } else { '?' };
            PathAndQuery::try_from(format!("{path}{separator}{query}"))
        }
    };
    target.ok().map(Uri::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_goes_behind_that_of_a_rewrite() {
        let uri = |path, query| uri(path, query).unwrap().to_string();
        assert_eq!(uri("/a", None), "/a");
        assert_eq!(uri("/a", Some("b=1")), "/a?b=1");
        let rewritten = crate::config::Rewrite::template("/a?id=7").unwrap();
        let path = rewritten.apply("/", &crate::config::Captures::NONE);
        assert_eq!(uri(&path, Some("b=1")), "/a?id=7&b=1");
    }
}
