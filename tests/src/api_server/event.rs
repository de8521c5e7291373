//! events.k8s.io/v1 Events: created, counted up, and checked as the API server checks them.

use hyper::Method;
use serde_json::{Value, json};

use super::{
    Shared,
    answer::{Body, failure, respond},
};

/// Bytes of a note at most (`NoteLengthLimit`, kubernetes/pkg/apis/core/validation/events.go).
const LONGEST_NOTE: usize = 1024;
/// Bytes of other texts at most, same file.
const LONGEST_TEXT: usize = 128;

/// Namespace and, for one Event, its name, where `path` is about Events.
pub(super) fn at(path: &str) -> Option<(&str, Option<&str>)> {
    let rest = path.strip_prefix("/apis/events.k8s.io/v1/namespaces/")?;
    let (namespace, events) = rest.split_once('/')?;
    let name = events.strip_prefix("events")?.strip_prefix('/');
    Some((namespace, name))
}

/// Creates an Event or changes one.
pub(super) fn write(
    shared: &Shared,
    method: &Method,
    (namespace, name): (&str, Option<&str>),
    body: &[u8],
) -> hyper::Response<Body> {
    if shared.state().events_forbidden {
        return failure(403);
    }
    let Ok(mut event) = serde_json::from_slice::<Value>(body) else { return failure(400) };
    event["metadata"]["namespace"] = json!(namespace);
    match (method, name) {
        (&Method::POST, None) => match wrong(&event) {
            Some(what) => respond(
                422,
                json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "code": 422,
                "status": "Failure", "reason": "Invalid", "message": what})
                .to_string(),
            ),
            None => {
                let named = |known: &Value| known["metadata"]["name"] == event["metadata"]["name"];
                let is_new = shared.events.send_if_modified(|events| {
                    let is_new = !events.iter().any(named);
                    events.extend(is_new.then(|| event.clone()));
                    is_new
                });
                if is_new { respond(201, event.to_string()) } else { failure(409) }
            }
        },
        (&Method::PATCH, Some(name)) => {
            let mut patched = None;
            shared.events.send_modify(|events| {
                let known = events.iter_mut().find(|known| known["metadata"]["name"] == name);
                patched = known.map(|known| {
                    if !event["series"].is_null() {
                        known["series"] = event["series"].take();
                    }
                    known.to_string()
                });
            });
            patched.map_or_else(|| failure(404), |text| respond(200, text))
        }
        _ => failure(405),
    }
}

/// What the API server would refuse (`ValidateEventCreate`, `legacyValidateEvent`).
fn wrong(event: &Value) -> Option<String> {
    let text = |field: &str| event[field].as_str().unwrap_or_default().to_owned();
    let namespace = event["regarding"]["namespace"].as_str().unwrap_or("default");
    let checks = [
        (event["metadata"]["name"].as_str().is_none(), "metadata.name: required"),
        (event["metadata"]["namespace"] != namespace, "regarding.namespace: does not match event.namespace"),
        (event["eventTime"].as_str().is_none(), "eventTime: required"),
        (!text("reportingController").contains('/'), "reportingController: not a qualified name"),
        (is_bad(&text("reportingInstance")), "reportingInstance: required, 128 bytes at most"),
        (is_bad(&text("action")), "action: required, 128 bytes at most"),
        (is_bad(&text("reason")), "reason: required, 128 bytes at most"),
        (text("note").len() > LONGEST_NOTE, "note: 1024 bytes at most"),
        (!matches!(text("type").as_str(), "Normal" | "Warning"), "type: Normal or Warning"),
    ];
    checks.into_iter().find_map(|(is_wrong, what)| is_wrong.then(|| what.to_owned()))
}

fn is_bad(text: &str) -> bool {
    text.is_empty() || text.len() > LONGEST_TEXT
}
