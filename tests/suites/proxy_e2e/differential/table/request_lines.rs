//! Methods and versions.

use super::super::row::{Expected::*, Row, row};

const GET: &[&str] = &["GET / HTTP/1.1"];

const SPACE: &str =
    "RFC 9112 §3: one space between the words, none behind them; being lenient is what §11.2 warns of";
const VERSION: &str = "RFC 9112 §2.3: hyper reads HTTP/1.0 and HTTP/1.1, and there is no other HTTP/1";
const METHOD: &str = "RFC 9110 §9.1: a method is any token, and get is another one than GET";
const TUNNEL: &str = "RFC 9110 §9.3.6: a reverse proxy opens no tunnels";
const TRACE: &str =
    "RFC 9110 §9.3.8: the answer would show a script cookies that it may not see, as nginx knows";
const OLD: &str = "RFC 9112 appendix C.1: HTTP/0.9 has no fields, and is not served";

/// Payloads about the first line.
pub(crate) fn rows() -> Vec<Row> {
    let line = |name, line: &str, expected| row(name, format!("{line}\r\nHost: a.example\r\n\r\n"), expected);
    vec![
        line("a request line", "GET / HTTP/1.1", Passed(GET)),
        line("HTTP/1.0", "GET / HTTP/1.0", PassedAsTheLast(GET)),
        line("HTTP/1.2", "GET / HTTP/1.2", Refused(400)).stricter(VERSION),
        line("HTTP/1.10", "GET / HTTP/1.10", Refused(400)).stricter(VERSION),
        line("HTTP/2.0", "GET / HTTP/2.0", Refused(400)).stricter(VERSION),
        line("HTTP/3.0", "GET / HTTP/3.0", Refused(400)).stricter(VERSION),
        line("HTTP/0.9 in words", "GET / HTTP/0.9", Refused(400)).stricter(OLD),
        line("a version without a minor", "GET / HTTP/1", Refused(400)),
        line("a version with a plus", "GET / HTTP/+1.1", Refused(400)),
        line("a version in lower case", "GET / http/1.1", Refused(400)),
        line("a version of another protocol", "GET / ICAP/1.0", Refused(400)),
        line("a version with something behind", "GET / HTTP/1.1x", Refused(400)),
        line("a space after the version", "GET / HTTP/1.1 ", Refused(400)).stricter(SPACE),
        line("two spaces after the method", "GET  / HTTP/1.1", Refused(400)).stricter(SPACE),
        line("two spaces before the version", "GET /  HTTP/1.1", Refused(400)).stricter(SPACE),
        line("a tab after the method", "GET\t/ HTTP/1.1", Refused(400)).stricter(SPACE),
        line("a tab before the version", "GET /\tHTTP/1.1", Refused(400)).stricter(SPACE),
        line("a space before the method", " GET / HTTP/1.1", Refused(400)),
        line("a target in two words", "GET / / HTTP/1.1", Refused(400)),
        line("no target", "GET HTTP/1.1", Refused(400)),
        line("no version", "GET /", Refused(400)).stricter(OLD),
        line("no method", "/ HTTP/1.1", Refused(400)),
        line("a method in lower case", "get / HTTP/1.1", Passed(&["get / HTTP/1.1"])).laxer(METHOD),
        line("a method of ours", "PURGE / HTTP/1.1", Passed(&["PURGE / HTTP/1.1"])),
        line("a method with a dash", "M-SEARCH / HTTP/1.1", Passed(&["M-SEARCH / HTTP/1.1"])),
        line("a method with a colon", "GET: / HTTP/1.1", Refused(400)),
        line("a method with a slash", "G/T / HTTP/1.1", Refused(400)),
        line("a method with a NUL", "G\0T / HTTP/1.1", Refused(400)),
        line("a method in brackets", "<GET> / HTTP/1.1", Refused(400)),
        line("CONNECT to an authority", "CONNECT a.example:443 HTTP/1.1", Refused(405)).stricter(TUNNEL),
        line("CONNECT to a path", "CONNECT / HTTP/1.1", Refused(405)),
        line("TRACE", "TRACE / HTTP/1.1", Refused(405)).stricter(TRACE),
        line("TRACK", "TRACK / HTTP/1.1", Passed(&["TRACK / HTTP/1.1"])),
        line("an empty line before", "\r\nGET / HTTP/1.1", Passed(GET)),
        line("two empty lines before", "\r\n\r\nGET / HTTP/1.1", Passed(GET)),
        line("a bare line feed before", "\nGET / HTTP/1.1", Passed(GET)),
        row("HTTP/0.9", "GET /\r\n", Refused(400)).stricter(OLD),
        row(
            "HTTP/0.9 and a request behind",
            "GET /\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a.example\r\n\r\n",
            Refused(400),
        )
        .stricter(OLD),
        row(
            "the preface of HTTP/2, and no HTTP/2",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nGET / HTTP/1.1\r\nHost: a.example\r\n\r\n",
            Dropped,
        ),
        row("half the preface of HTTP/2", "PRI * HTTP/2.0\r\nHost: a.example\r\n\r\n", Refused(400)),
        row("TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\x7c\x03\x03", Refused(400)),
        row(
            "PROXY protocol",
            "PROXY TCP4 1.2.3.4 10.1.0.1 1234 80\r\nGET / HTTP/1.1\r\nHost: a.example\r\n\r\n",
            Refused(400),
        ),
    ]
}
