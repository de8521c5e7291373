//! What the proxy says itself.

use bytes::Bytes;
use hyper::{
    Response, StatusCode, Version,
    header::{self, HeaderValue},
};

use super::guard::Refused;
use crate::body::ResponseBody;

/// A short text for people, with the status.
pub(super) fn status(status: StatusCode) -> Response<ResponseBody> {
    text(status, &format!("{status}\n"))
}

/// A text with a status.
fn text(status: StatusCode, text: &str) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::own(Bytes::copy_from_slice(text.as_bytes())));
    *response.status_mut() = status;
    let content_type = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}

/// Says what is wrong with a request and ends its connection: nobody knows where the next request begins.
pub(super) fn refused(refused: Refused, version: Version) -> Response<ResponseBody> {
    let mut response = text(refused.status, &format!("{}: {}\n", refused.status, refused.reason));
    close(&mut response, version);
    response
}

/// Ends the connection after this response, where it carries one request at a time.
pub(super) fn close<B>(response: &mut Response<B>, version: Version) {
    if version < Version::HTTP_2 {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
}

/// A redirect; none where `location` cannot be a field value.
pub(super) fn redirect(status: StatusCode, location: &str) -> Option<Response<ResponseBody>> {
    let location = HeaderValue::try_from(location).ok()?;
    let mut response = self::status(status);
    response.headers_mut().insert(header::LOCATION, location);
    Some(response)
}
