//! Whom a request is for.

use super::super::row::{Expected::*, Row, row};

const GET: &[&str] = &["GET / HTTP/1.1"];
const GETX: &[&str] = &["GET /x HTTP/1.1"];

const HOST: &str =
    "RFC 9112 §3.2: a Host that is missing, repeated, or no host by RFC 3986 §3.2.2, is refused";
const AUTHORITY: &str =
    "RFC 9112 §3.2.2: the authority of the target counts, whatever Host says; haproxy wants both alike";
const SEGMENTS: &str = "CVE-2019-9901: empty segments are dropped, so that routes and endpoint see one path";

/// Payloads about `Host` and the authority of a target.
pub(crate) fn rows() -> Vec<Row> {
    let hosts = |name, hosts: &str, expected| row(name, format!("GET / HTTP/1.1\r\n{hosts}\r\n"), expected);
    vec![
        hosts("a Host", "Host: a.example\r\n", Passed(GET)),
        hosts("no Host", "", Refused(400)).stricter(HOST),
        hosts("two Hosts that are equal", "Host: a.example\r\nHost: a.example\r\n", Refused(400))
            .stricter(HOST),
        hosts("two Hosts that differ", "Host: a.example\r\nHost: b.example\r\n", Refused(400)),
        hosts("an empty Host", "Host:\r\n", Refused(400)).stricter(HOST),
        hosts("a Host with a space", "Host: a.example b.example\r\n", Refused(400)).stricter(HOST),
        hosts("a Host with a comma", "Host: a.example,b.example\r\n", Passed(GET)),
        hosts("a Host with a path", "Host: a.example/x\r\n", Refused(400)).stricter(HOST),
        hosts("a Host with a backslash", "Host: a.example\\x\r\n", Refused(400)).stricter(HOST),
        hosts("a Host with userinfo", "Host: user@a.example\r\n", Refused(400)).stricter(HOST),
        hosts("a Host with userinfo and a colon", "Host: a.example:80@b.example\r\n", Refused(400))
            .stricter(HOST),
        hosts("a Host with a port", "Host: a.example:8080\r\n", Passed(GET)),
        hosts("a Host with a port that is no number", "Host: a.example:8o\r\n", Refused(400)).stricter(HOST),
        hosts("a Host with two ports", "Host: a.example:80:80\r\n", Refused(400)).stricter(HOST),
        hosts("a Host with a port of six digits", "Host: a.example:800000\r\n", Refused(400)).stricter(HOST),
        hosts("a Host with a query", "Host: a.example?x\r\n", Refused(400)).stricter(HOST),
        hosts("a Host with a fragment", "Host: a.example#x\r\n", Refused(400)).stricter(HOST),
        hosts("a Host with quotes", "Host: \"a.example\"\r\n", Refused(400)).stricter(HOST),
        hosts("a Host with two dots", "Host: a..example\r\n", Passed(GET))
            .laxer("RFC 3986 §3.2.2 has no rule against it; no rule of an Ingress can have such a host"),
        hosts("a Host with an underscore", "Host: a_b.example\r\n", Passed(GET)),
        hosts("a Host with bytes above ASCII", "Host: \u{e4}.example\r\n", Refused(400)).stricter(HOST),
        hosts("a Host in capitals", "Host: A.EXAMPLE\r\n", Passed(GET)),
        hosts("a Host with a final dot", "Host: a.example.\r\n", Passed(GET)),
        hosts("an IPv6 Host", "Host: [2001:db8::1]:80\r\n", Passed(GET)),
        hosts("an IPv6 Host that is not closed", "Host: [2001:db8::1\r\n", Refused(400)).stricter(HOST),
        row("no Host in HTTP/1.0", "GET / HTTP/1.0\r\n\r\n", PassedAsTheLast(GET)),
        row(
            "two Hosts in HTTP/1.0",
            "GET / HTTP/1.0\r\nHost: a.example\r\nHost: b.example\r\n\r\n",
            Refused(400),
        ),
        row("an absolute target", "GET http://a.example/x HTTP/1.1\r\nHost: a.example\r\n\r\n", Passed(GETX)),
        row(
            "an absolute target in capitals",
            "GET HTTP://A.example/x HTTP/1.1\r\nHost: a.example\r\n\r\n",
            Passed(GETX),
        ),
        row(
            "an absolute target without a path",
            "GET http://a.example HTTP/1.1\r\nHost: a.example\r\n\r\n",
            Passed(GET),
        ),
        row(
            "an absolute target without a path and with a query",
            "GET http://a.example?x HTTP/1.1\r\nHost: a.example\r\n\r\n",
            Passed(&["GET /?x HTTP/1.1"]),
        )
        .laxer("RFC 9112 §3.2.2 and RFC 3986 §3.3: the path may be empty"),
        row(
            "an absolute target and another Host",
            "GET http://a.example/x HTTP/1.1\r\nHost: b.example\r\n\r\n",
            Passed(GETX),
        )
        .laxer(AUTHORITY),
        row("an absolute target and no Host", "GET http://a.example/x HTTP/1.1\r\n\r\n", Refused(400))
            .stricter(HOST),
        row(
            "an absolute target and two Hosts",
            "GET http://a.example/x HTTP/1.1\r\nHost: a.example\r\nHost: a.example\r\n\r\n",
            Refused(400),
        )
        .stricter(HOST),
        row(
            "an absolute target and a Host that is none",
            "GET http://a.example/x HTTP/1.1\r\nHost: b/c\r\n\r\n",
            Refused(400),
        ),
        row(
            "an absolute target with userinfo",
            "GET http://b.example@a.example/x HTTP/1.1\r\nHost: a.example\r\n\r\n",
            Refused(400),
        )
        .stricter("RFC 9110 §4.2.4: userinfo in a target is an error, which nginx refuses too"),
        row(
            "an absolute target of another scheme",
            "GET ftp://a.example/x HTTP/1.1\r\nHost: a.example\r\n\r\n",
            Passed(GETX),
        ),
        row(
            "an absolute target of HTTPS",
            "GET https://a.example/x HTTP/1.1\r\nHost: a.example\r\n\r\n",
            Passed(GETX),
        ),
        row(
            "an absolute target without a host",
            "GET http:///x HTTP/1.1\r\nHost: a.example\r\n\r\n",
            Refused(400),
        )
        .stricter("RFC 9110 §4.2.1: an http target with an empty host is refused"),
        row(
            "an absolute target with another port",
            "GET http://a.example:81/x HTTP/1.1\r\nHost: a.example\r\n\r\n",
            Passed(GETX),
        )
        .laxer(AUTHORITY),
        row(
            "a target that is an authority",
            "GET a.example:80 HTTP/1.1\r\nHost: a.example\r\n\r\n",
            Refused(400),
        ),
        row(
            "a target with two slashes and a host",
            "GET //b.example/x HTTP/1.1\r\nHost: a.example\r\n\r\n",
            Passed(&["GET /b.example/x HTTP/1.1"]),
        )
        .otherwise(SEGMENTS),
    ]
}
