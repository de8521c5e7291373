//! Fields: their syntax, their size, and those that clients could forge.

use super::super::row::{Expected::*, Row, get, row};

const GET: &[&str] = &["GET / HTTP/1.1"];

const FOLDED: &str = "RFC 9112 §5.2: a folded field is refused; haproxy joins its lines";
const VALUE: &str = "RFC 9110 §5.5: control characters in a value are refused";
const NAME: &str = "RFC 9110 §5.1: a name that is no token is refused; nginx drops the field";
const COUNT: &str = "a hundred fields at most, about as haproxy has it; nginx counts bytes only";

/// Payloads about fields.
pub(crate) fn rows() -> Vec<Row> {
    let many = |count: usize| (0..count).map(|n| format!("X-{n}: y\r\n")).collect::<String>();
    vec![
        get("a folded field", "X: a\r\n b", Refused(400)).stricter(FOLDED),
        get("a folded field with a tab", "X: a\r\n\tb", Refused(400)).stricter(FOLDED),
        get("a folded field that hides a length", "X: a\r\n Content-Length: 5", Refused(400))
            .stricter(FOLDED),
        row("a first field that is folded", "GET / HTTP/1.1\r\n Host: a.example\r\n\r\n", Refused(400)),
        row(
            "a first line that is folded",
            "GET / HTTP/1.1\r\n X: y\r\nHost: a.example\r\n\r\n",
            Refused(400),
        ),
        row("bare line feeds", "GET / HTTP/1.1\nHost: a.example\n\n", Passed(GET)),
        get("one bare line feed", "X: a\nY: b", Passed(GET)),
        get("a bare carriage return in a value", "X: a\rb", Refused(400)),
        get("a bare carriage return before a name", "\rX: a", Refused(400)),
        get("a bare carriage return between fields", "X: a\rY: b", Refused(400)),
        get("a line of carriage returns", "X: a\r\r", Refused(400)).stricter(VALUE),
        get("a NUL in a value", "X: a\0b", Refused(400)).stricter(VALUE),
        get("a NUL in a name", "X\0: a", Refused(400)),
        get("a control character in a value", "X: a\x01b", Refused(400)).stricter(VALUE),
        get("a DEL in a value", "X: a\x7fb", Refused(400)).stricter(VALUE),
        get("a tab in a value", "X: a\tb", Passed(GET)),
        get("bytes above ASCII in a value", "X: \u{e4}", Passed(GET)),
        get("bytes above ASCII in a name", "\u{e4}: a", Refused(400)).stricter(NAME),
        get("a space before the colon", "X : a", Refused(400)),
        get("a tab before the colon", "X\t: a", Refused(400)),
        get("a space within a name", "X Y: a", Refused(400)),
        get("a name with a parenthesis", "X(Y): a", Refused(400)).stricter(NAME),
        get("a name with a slash", "X/Y: a", Refused(400)).stricter(NAME),
        get("a name with a bracket", "X[Y: a", Refused(400)).stricter(NAME),
        get("a name with a quote", "X\"Y: a", Refused(400)).stricter(NAME),
        get("an empty name", ": a", Refused(400)),
        get("a line without a colon", "X", Refused(400))
            .stricter("RFC 9112 §5: a field has a colon; nginx makes an empty field of it"),
        get("an empty value", "X:", Passed(GET)),
        get("a value without a space", "X:a", Passed(GET)),
        get("a name of all the characters that it may have", "X!#$%&'*+-.^`|~9: a", Passed(GET)),
        get("a field of 20 KiB", &format!("X: {}", "a".repeat(20 << 10)), Passed(GET)),
        get("a field of 40 KiB", &format!("X: {}", "a".repeat(40 << 10)), Refused(431)),
        get("90 more fields", &format!("{}X: y", many(90)), Passed(GET)),
        get("150 more fields", &format!("{}X: y", many(150)), Refused(431)).stricter(COUNT),
        get("an alias of a forwarded field", "X_Forwarded_For: 1.2.3.4", Passed(GET)),
        get("a name with an underscore", "X_Y: a", Passed(GET)),
        get("a Content_Length", "Content_Length: 5", Passed(GET)),
        get("a Transfer_Encoding", "Transfer_Encoding: chunked", Passed(GET)),
        get("a forged X-Forwarded-For", "X-Forwarded-For: 1.2.3.4", Passed(GET)),
        get("a forged X-Forwarded-Host", "X-Forwarded-Host: b.example", Passed(GET)),
        get("a forged X-Forwarded-Proto", "X-Forwarded-Proto: https", Passed(GET)),
        get(
            "a forged X-Forwarded-For, twice",
            "X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-For: 5.6.7.8",
            Passed(GET),
        ),
        get("a forged Forwarded", "Forwarded: for=1.2.3.4;host=b.example", Passed(GET)),
        get("a forged X-Real-IP", "X-Real-IP: 1.2.3.4", Passed(GET)),
        get("a Proxy field", "Proxy: http://evil.example", Passed(GET)),
        get("a rewritten URL", "X-Original-URL: /admin\r\nX-Rewrite-URL: /admin", Passed(GET)),
    ]
}
