//! /log-level: tells the log level, or changes it.

use std::net::IpAddr;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Collected, Full, Limited};
use hyper::{Method, Request, Response, StatusCode, body::Incoming};
use lb_logging::Level;

use crate::answer::text;

/// Bytes of a log level at most.
const LONGEST_LEVEL: usize = 1024;

/// Answers a process of this machine only, whatever the address that is listened on.
pub(crate) async fn answer(level: &Level, request: Request<Incoming>, peer: IpAddr) -> Response<Full<Bytes>> {
    // An IPv4 client of an IPv6 socket has a mapped address.
    if !peer.to_canonical().is_loopback() {
        return text(StatusCode::FORBIDDEN, "/log-level answers on the loopback address only\n");
    }
    match *request.method() {
        Method::GET | Method::HEAD => {}
        Method::PUT => {
            let body = Limited::new(request.into_body(), LONGEST_LEVEL).collect().await;
            let Ok(body) = body.map(Collected::to_bytes) else {
                return text(StatusCode::BAD_REQUEST, "no level is that long\n");
            };
            if let Err(error) = level.set(&String::from_utf8_lossy(&body)) {
                return text(StatusCode::BAD_REQUEST, format!("{error}\n"));
            }
        }
        _ => return text(StatusCode::METHOD_NOT_ALLOWED, "only GET and PUT are understood\n"),
    }
    text(StatusCode::OK, level.get() + "\n")
}
