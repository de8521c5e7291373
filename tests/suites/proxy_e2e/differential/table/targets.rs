//! What is asked for.

use super::super::row::{Expected::*, Row, row, target};

const NORMAL: &str = "RFC 3986 §5.2.4, §6.2.2 and CVE-2019-9901: dots, empty segments and escapes have one form, \
                      which is routed and which the endpoint gets";
const ESCAPED_SLASH: &str =
    "RFC 3986 §2.2: an escaped slash is no slash, for the endpoint neither; nginx looks at it unescaped";
const ABOVE: &str = "RFC 3986 §5.2.4: a path that leads above its root is refused, as nginx does";
const ESCAPE: &str = "RFC 3986 §2.1: an escape that is none, or a NUL, is refused, as nginx does";
const FRAGMENT: &str = "RFC 9110 §7.1: a target has no fragment; it is cut off, as browsers do";
const CHARACTER: &str =
    "RFC 3986 §2: the target has a character that must be escaped; RFC 9112 §3.2 advises 400";
const UNICODE: &str = "as nginx: old clients send bytes above ASCII as they are, and they pass unchanged";
const ASTERISK: &str =
    "RFC 9112 §3.2.4: no Ingress says who would answer for the server as a whole; nginx refuses it too";

/// Payloads about the target of a request.
pub(crate) fn rows() -> Vec<Row> {
    vec![
        target("/a/b?c=d&e", Passed(&["GET /a/b?c=d&e HTTP/1.1"])),
        target("/a//b", Passed(&["GET /a/b HTTP/1.1"])).otherwise(NORMAL),
        target("//a", Passed(&["GET /a HTTP/1.1"])).otherwise(NORMAL),
        target("/a/../b", Passed(&["GET /b HTTP/1.1"])).otherwise(NORMAL),
        target("/a/./b", Passed(&["GET /a/b HTTP/1.1"])).otherwise(NORMAL),
        target("/a/%2e%2e/b", Passed(&["GET /b HTTP/1.1"])).otherwise(NORMAL),
        target("/a/.%2E/b", Passed(&["GET /b HTTP/1.1"])).otherwise(NORMAL),
        target("/a/..;/b", Passed(&["GET /a/..;/b HTTP/1.1"])),
        target("/../a", Refused(400)).stricter(ABOVE),
        target("/%2e%2e/a", Refused(400)).stricter(ABOVE),
        target("/a/..%2f..%2fb", Passed(&["GET /a/..%2F..%2Fb HTTP/1.1"])).laxer(ESCAPED_SLASH),
        target("/a%2fb", Passed(&["GET /a%2Fb HTTP/1.1"])).otherwise(NORMAL),
        target("/a%5cb", Passed(&["GET /a%5Cb HTTP/1.1"])).otherwise(NORMAL),
        target("/a\\b", Passed(&["GET /a\\b HTTP/1.1"])),
        target("/a\\..\\b", Passed(&["GET /a\\..\\b HTTP/1.1"])),
        target("/%61", Passed(&["GET /a HTTP/1.1"])).otherwise(NORMAL),
        target("/%252e%252e/a", Passed(&["GET /%252e%252e/a HTTP/1.1"])),
        target("/a%00b", Refused(400)).stricter(ESCAPE),
        target("/a%0d%0ab", Passed(&["GET /a%0D%0Ab HTTP/1.1"])).otherwise(NORMAL),
        target("/a%", Refused(400)).stricter(ESCAPE),
        target("/a%zz", Refused(400)).stricter(ESCAPE),
        target("/a%u002f", Refused(400)).stricter(ESCAPE),
        target("/a#b", Passed(&["GET /a HTTP/1.1"])).laxer(FRAGMENT),
        target("/a?b#c", Passed(&["GET /a?b HTTP/1.1"])).laxer(FRAGMENT),
        target("#a", Refused(400)),
        target("?a", Refused(400)),
        target("a", Refused(400)),
        target("../a", Refused(400)),
        target("*", Refused(400)).stricter(ASTERISK),
        target("/a?b=/../c", Passed(&["GET /a?b=/../c HTTP/1.1"])),
        target("/a?b=%00", Passed(&["GET /a?b=%00 HTTP/1.1"])),
        target("/a?b?c", Passed(&["GET /a?b?c HTTP/1.1"])),
        target("/a?b=%", Passed(&["GET /a?b=% HTTP/1.1"])),
        target("/a;b=c", Passed(&["GET /a;b=c HTTP/1.1"])),
        target("/a\"b", Passed(&["GET /a\"b HTTP/1.1"])),
        target("/a<b>", Refused(400)).stricter(CHARACTER),
        target("/a{b}|c^d`e", Refused(400)).stricter(CHARACTER),
        target("/a?b\"", Refused(400)).stricter(CHARACTER),
        target("/a?b<", Refused(400)).stricter(CHARACTER),
        target("/a?{b}|c^d`e\\", Passed(&["GET /a?{b}|c^d`e\\ HTTP/1.1"])),
        target("/a{b}", Passed(&["GET /a{b} HTTP/1.1"])),
        target("/a|b", Passed(&["GET /a|b HTTP/1.1"])),
        target("/\u{e4}", Passed(&["GET /\u{e4} HTTP/1.1"])).laxer(UNICODE),
        target("/a?\u{e4}", Passed(&["GET /a?\u{e4} HTTP/1.1"])).laxer(UNICODE),
        target("/a\tb", Refused(400)),
        target("/a b", Refused(400)),
        target("/a\0b", Refused(400)),
        target("/a\x01b", Refused(400)),
        target("/a\x7fb", Refused(400)).stricter(CHARACTER),
        target("/a\rb", Refused(400)),
        target("/a:b@c", Passed(&["GET /a:b@c HTTP/1.1"])),
        row("OPTIONS *", "OPTIONS * HTTP/1.1\r\nHost: a.example\r\n\r\n", Refused(400)).stricter(ASTERISK),
        row(
            "a target of 9000 bytes",
            format!("GET /{} HTTP/1.1\r\nHost: a.example\r\n\r\n", "a".repeat(9000)),
            Refused(414),
        )
        .stricter("8 KiB at most, which is what nginx has where it is not told otherwise"),
        row(
            "a target of 40 KiB",
            format!("GET /{} HTTP/1.1\r\nHost: a.example\r\n\r\n", "a".repeat(40 << 10)),
            Refused(431),
        ),
    ]
}
