//! Answers in an endpoint's place: `custom-http-errors` and `default-backend`.

use hyper::{
    Method, Response, StatusCode,
    header::{self, HeaderName, HeaderValue},
    http::request::Parts,
};

use super::{answer, attempts::Attempts};
use crate::{
    body::{RequestBody, ResponseBody},
    upstream::UpstreamBody,
};

/// The answer of the default backend for a status that clients shall not see from the endpoint itself; where there is
/// none, or it fails, the endpoint's own.
pub(super) async fn replace(
    attempts: &Attempts<'_>,
    response: Response<UpstreamBody>,
) -> Response<ResponseBody> {
    match ask(attempts, response.status()).await {
        Some(mut replaced) => {
            // What it answers with is its text; the status is the endpoint's, as ingress-nginx's default backends do.
            *replaced.status_mut() = response.status();
            replaced
        }
        None => response.map(ResponseBody::upstream),
    }
}

/// The answer where there is no endpoint: the default backend's, as if it had been asked in the first place.
pub(super) async fn unavailable(attempts: &Attempts<'_>) -> Response<ResponseBody> {
    let status = StatusCode::SERVICE_UNAVAILABLE;
    ask(attempts, status).await.unwrap_or_else(|| answer::status(status))
}

async fn ask(attempts: &Attempts<'_>, status: StatusCode) -> Option<Response<ResponseBody>> {
    let backend = attempts.state.error_backend.as_ref()?;
    let head = head(attempts, status)?;
    let request = (head, RequestBody::empty());
    let began = std::time::Instant::now();
    let mut attempts =
        Attempts::new(attempts.thread, attempts.state, backend, request, attempts.origin, began);
    attempts.run().await.ok().map(|response| response.map(ResponseBody::upstream))
}

/// The request as ingress-nginx makes it (docs/user-guide/custom-errors.md): it says what failed, and where.
fn head(attempts: &Attempts<'_>, status: StatusCode) -> Option<Parts> {
    let mut head = attempts.head.clone();
    head.method = Method::GET;
    let ingress = &attempts.state.route.ingress;
    let format = head.headers.get(header::ACCEPT).cloned().unwrap_or(HeaderValue::from_static("*/*"));
    let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
    let fields = [
        ("x-code", HeaderValue::from(status.as_u16())),
        ("x-format", format),
        ("x-original-uri", HeaderValue::try_from(target).ok()?),
        ("x-namespace", HeaderValue::try_from(&ingress.namespace).ok()?),
        ("x-ingress-name", HeaderValue::try_from(&ingress.name).ok()?),
        ("x-service-name", HeaderValue::try_from(&attempts.forward.config.key.service).ok()?),
        ("x-service-port", HeaderValue::from(attempts.forward.config.key.port)),
    ];
    for name in [header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::CONTENT_TYPE] {
        head.headers.remove(name);
    }
    for (name, value) in fields {
        head.headers.insert(HeaderName::from_static(name), value);
    }
    Some(head)
}
