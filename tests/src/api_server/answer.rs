//! One request and its answer.

use std::{collections::BTreeMap, convert::Infallible, io, sync::Arc};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper::{Response, body::Incoming};
use serde_json::{Value, json};

use super::{
    Shared, event,
    request::{Operation, Request, Resource},
    selector,
    state::{Fault, Gone, Rest},
    watch_stream, write,
};

pub(super) type Body = UnsyncBoxBody<Bytes, io::Error>;

/// Answers a request; an error closes the connection.
pub(super) async fn answer(
    shared: Arc<Shared>,
    request: hyper::Request<Incoming>,
) -> io::Result<Response<Body>> {
    let query = parse(request.uri().query().unwrap_or_default());
    let path = request.uri().path().to_owned();
    if let Some(event) = event::at(&path) {
        let method = request.method().clone();
        let body = request.into_body().collect().await.map_err(io::Error::other)?.to_bytes();
        return Ok(event::write(&shared, &method, event, &body));
    }
    let Some(asked) = Request::of(request.method(), &path, query) else { return Ok(failure(404)) };
    shared.requests.send_modify(|requests| requests.push(asked.clone()));
    let Request { resource, operation, ref key, ref query } = asked;
    let fault = shared.state().next_fault(resource, operation);
    match fault {
        Some(Fault::Status(code)) => return Ok(failure(code)),
        Some(Fault::Body(text)) => return Ok(respond(200, text)),
        Some(Fault::Close) => return Err(io::ErrorKind::ConnectionAborted.into()),
        Some(Fault::Hold(gate)) => gate.notified().await,
        None => {}
    }
    if shared.state().down {
        return Err(io::ErrorKind::ConnectionAborted.into());
    }
    Ok(match operation {
        Operation::List => list(&shared, resource, query),
        Operation::Watch => watch(shared, resource, query),
        Operation::Get => {
            let object = shared.state().objects.get(&(resource, key.clone())).cloned();
            object.map_or_else(|| failure(404), |object| respond(200, object.to_string()))
        }
        Operation::Create | Operation::Update | Operation::PatchStatus => {
            let body = request.into_body().collect().await.map_err(io::Error::other)?.to_bytes();
            write::write(&shared, &asked, &body)
        }
    })
}

fn list(shared: &Shared, resource: Resource, query: &BTreeMap<String, String>) -> Response<Body> {
    let mut state = shared.state();
    let mut rest = match query.get("continue") {
        Some(token) => match state.rests.remove(token) {
            Some(rest) => rest,
            None => return failure(410),
        },
        None => Rest {
            version: state.version,
            items: state
                .objects
                .iter()
                .filter(|((of, _), object)| *of == resource && matches(object, query))
                .map(|(_, object)| object.clone())
                .collect(),
        },
    };
    let limit = query.get("limit").and_then(|limit| limit.parse().ok()).filter(|limit| *limit > 0);
    let page: Vec<Value> = rest.items.drain(..limit.unwrap_or(usize::MAX).min(rest.items.len())).collect();
    let mut metadata = json!({"resourceVersion": rest.version.to_string()});
    if !rest.items.is_empty() {
        let token = state.raise_version().to_string();
        metadata["continue"] = json!(token);
        state.rests.insert(token, rest);
    }
    let list = json!({
        "apiVersion": resource.api_version(),
        "kind": format!("{}List", resource.kind()),
        "metadata": metadata,
        "items": page,
    });
    respond(200, list.to_string())
}

fn watch(shared: Arc<Shared>, resource: Resource, query: &BTreeMap<String, String>) -> Response<Body> {
    let from = query.get("resourceVersion").and_then(|version| version.parse().ok()).unwrap_or(0);
    let (is_gone, gone) = {
        let state = shared.state();
        (from < state.oldest, state.gone)
    };
    match (is_gone, gone) {
        (true, Gone::Http) => failure(410),
        (true, Gone::Event) => {
            let event = json!({"type": "ERROR", "object": status(410)});
            respond(200, format!("{event}\n"))
        }
        (false, _) => respond_with(200, watch_stream::start(shared, resource, query.clone(), from)),
    }
}

pub(super) fn matches(object: &Value, query: &BTreeMap<String, String>) -> bool {
    selector::matches(object, query.get("labelSelector"), query.get("fieldSelector"))
}

/// A `Status` as the API server words it.
pub(super) fn status(code: u16) -> Value {
    let (reason, message) = match code {
        403 => ("Forbidden", "User \"test\" cannot read this resource"),
        404 => ("NotFound", "the server could not find the requested resource"),
        409 => ("Conflict", "the object has been modified, or is there already"),
        410 => ("Expired", "too old resource version"),
        429 => ("TooManyRequests", "the server is busy, try again later"),
        _ => ("InternalError", "an error on the server has prevented the request from succeeding"),
    };
    let mut status = json!({
        "apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Failure",
        "code": code, "reason": reason, "message": message,
    });
    if code == 429 {
        status["details"] = json!({"retryAfterSeconds": 1});
    }
    status
}

pub(super) fn failure(code: u16) -> Response<Body> {
    respond(code, status(code).to_string())
}

pub(super) fn respond(code: u16, text: String) -> Response<Body> {
    respond_with(
        code,
        Full::new(Bytes::from(text)).map_err(|never: Infallible| match never {}).boxed_unsync(),
    )
}

fn respond_with(code: u16, body: Body) -> Response<Body> {
    Response::builder()
        .status(code)
        .header("content-type", "application/json")
        .body(body)
        .expect("a status code and a constant header are valid")
}

/// Query parameters. The client encodes what it must (`application/x-www-form-urlencoded`).
fn parse(query: &str) -> BTreeMap<String, String> {
    form_urlencoded::parse(query.as_bytes()).into_owned().collect()
}
