//! More than one request, and fields that concern one connection only.

use super::super::row::{Expected::*, Row, get, post, row};

const GET: &[&str] = &["GET / HTTP/1.1"];
const POST: &[&str] = &["POST / HTTP/1.1"];
const WEBSOCKET: &str = "Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                         Sec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEA==\r\n";
const GET_AND_SECOND: &[&str] = &["GET / HTTP/1.1", "GET /second HTTP/1.1"];
const POST_AND_SECOND: &[&str] = &["POST / HTTP/1.1", "GET /second HTTP/1.1"];
const SECOND: &str = "GET /second HTTP/1.1\r\nHost: a.example\r\n\r\n";

/// Payloads about connections.
pub(crate) fn rows() -> Vec<Row> {
    let upgrade = |name, upgrade: &str, expected| {
        get(name, &format!("Connection: upgrade\r\nUpgrade: {upgrade}"), expected)
    };
    vec![
        get("two requests at once", &format!("\r\n{}", SECOND.trim_end()), Passed(GET_AND_SECOND)),
        post(
            "a request behind a body",
            "Content-Length: 3",
            &format!("abc{SECOND}"),
            Passed(POST_AND_SECOND),
        ),
        post(
            "a request behind chunks",
            "Transfer-Encoding: chunked",
            &format!("0\r\n\r\n{SECOND}"),
            Passed(POST_AND_SECOND),
        ),
        post(
            "a line end behind a body",
            "Content-Length: 3",
            &format!("abc\r\n{SECOND}"),
            Passed(POST_AND_SECOND),
        ),
        post("other bytes behind a body", "Content-Length: 3", "abcde\r\n\r\n", PassedAsTheLast(POST)),
        get(
            "a request behind the last",
            &format!("Connection: close\r\n\r\n{}", SECOND.trim_end()),
            PassedAsTheLast(GET),
        ),
        row(
            "a request behind that of HTTP/1.0",
            format!("GET / HTTP/1.0\r\nHost: a.example\r\n\r\n{SECOND}"),
            PassedAsTheLast(GET),
        ),
        row(
            "HTTP/1.0 that wants to stay",
            "GET / HTTP/1.0\r\nHost: a.example\r\nConnection: keep-alive\r\n\r\n",
            Passed(GET),
        ),
        get("close", "Connection: close", PassedAsTheLast(GET)),
        get("close and keep-alive", "Connection: close, keep-alive", PassedAsTheLast(GET)),
        get(
            "keep-alive in two fields, then close",
            "Connection: keep-alive\r\nConnection: close",
            PassedAsTheLast(GET),
        ),
        get("a Connection that names Host", "Connection: host", Passed(GET)),
        get("a Connection that names a field", "Connection: x-secret-hop\r\nX-Secret-Hop: a", Passed(GET)),
        get(
            "a Connection that names what the proxy says",
            "Connection: x-forwarded-for, x-real-ip\r\nX-Forwarded-For: 1.2.3.4",
            Passed(GET),
        ),
        get("a Connection that names nothing", "Connection: ,", Passed(GET)),
        post(
            "a Connection that names Content-Length",
            "Connection: content-length\r\nContent-Length: 3",
            "abc",
            Passed(POST),
        ),
        post(
            "a Connection that names Transfer-Encoding",
            "Connection: transfer-encoding\r\nTransfer-Encoding: chunked",
            "3\r\nabc\r\n0\r\n\r\n",
            Passed(POST),
        ),
        get("a Keep-Alive", "Keep-Alive: timeout=5", Passed(GET)),
        get("a Proxy-Connection", "Proxy-Connection: close", Passed(GET)),
        get("a TE", "TE: gzip, trailers", Passed(GET)),
        upgrade("an upgrade to h2c", "h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA", Passed(GET)),
        get(
            "an upgrade to h2c with its settings named",
            "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA",
            Passed(GET),
        ),
        get("an upgrade to h2c that Connection does not name", "Upgrade: h2c", Passed(GET)),
        upgrade("an upgrade to TLS", "TLS/1.0", Passed(GET)),
        upgrade(
            "an upgrade to h2c with a request behind",
            &format!("h2c\r\n\r\n{}", SECOND.trim_end()),
            Passed(GET_AND_SECOND),
        ),
        get(
            "a WebSocket that the endpoint declines, with a request behind",
            &format!("{WEBSOCKET}\r\n{}", SECOND.trim_end()),
            Passed(GET_AND_SECOND),
        ),
        post(
            "an upgrade to a WebSocket with a body",
            "Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 3",
            "abc",
            Passed(POST),
        ),
        post("100-continue", "Expect: 100-continue\r\nContent-Length: 3", "abc", Passed(POST)),
        post("100-continue in capitals", "Expect: 100-CONTINUE\r\nContent-Length: 3", "abc", Passed(POST)),
        post("another expectation", "Expect: 200-ok\r\nContent-Length: 3", "abc", Passed(POST)),
        post(
            "100-continue and a request behind",
            "Expect: 100-continue\r\nContent-Length: 3",
            &format!("abc{SECOND}"),
            Passed(POST_AND_SECOND),
        ),
        get("100-continue without a body", "Expect: 100-continue", Passed(GET)),
        post("another method", "X-HTTP-Method-Override: DELETE\r\nContent-Length: 0", "", Passed(POST)),
    ]
}
