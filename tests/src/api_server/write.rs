//! Objects that clients write: nothing is overwritten that changed since it was read.

use hyper::Response;
use serde_json::{Value, json};

use super::{
    Shared,
    answer::{Body, failure, respond},
    request::{Operation, Request},
    state::Order,
};

/// Creates or changes the object in `body`.
pub(super) fn write(shared: &Shared, request: &Request, body: &[u8]) -> Response<Body> {
    let Ok(mut body) = serde_json::from_slice::<Value>(body) else { return failure(400) };
    let answer = {
        let mut state = shared.state();
        let key = match request.operation {
            Operation::Create => {
                body["metadata"]["namespace"] = json!(request.key);
                format!("{}/{}", request.key, body["metadata"]["name"].as_str().unwrap_or_default())
            }
            _ => request.key.clone(),
        };
        let known = state.objects.get(&(request.resource, key.clone())).cloned();
        let asked = &body["metadata"]["resourceVersion"];
        let object = match (request.operation, known) {
            (Operation::Create, Some(_)) => return failure(409),
            (Operation::Create, None) => body,
            (_, None) => return failure(404),
            (_, Some(known)) if !asked.is_null() && *asked != known["metadata"]["resourceVersion"] => {
                return failure(409);
            }
            (Operation::PatchStatus, Some(mut known)) => {
                merge(&mut known["status"], &body["status"]);
                known
            }
            (_, Some(_)) => body,
        };
        state.put(request.resource, &key, Some(object));
        state.objects[&(request.resource, key)].to_string()
    };
    shared.order(None, Order::Look);
    respond(if request.operation == Operation::Create { 201 } else { 200 }, answer)
}

/// JSON merge patch (RFC 7396).
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(fields) = patch else { return *target = patch.clone() };
    if !target.is_object() {
        *target = json!({});
    }
    for (name, value) in fields {
        match (value, target.as_object_mut()) {
            (Value::Null, Some(target)) => drop(target.remove(name)),
            _ => merge(&mut target[name.as_str()], value),
        }
    }
}
