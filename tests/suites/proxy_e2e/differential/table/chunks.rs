//! Chunks, and what follows a body.

use super::super::row::{Expected::*, Row, post};

const POST: &[&str] = &["POST / HTTP/1.1"];

const LINE: &str = "RFC 9112 §7.1: lines of chunks end with CRLF; where a line feed will do, requests are smuggled \
                    (CVE-2025-58056)";
const SIZE: &str = "extensions (RFC 9112 §7.1.1) and trailers are bounded; nginx reads over them";

/// Payloads about chunks.
pub(crate) fn rows() -> Vec<Row> {
    let chunks = |name, body: &str, expected| post(name, "Transfer-Encoding: chunked", body, expected);
    vec![
        chunks("a chunk", "3\r\nabc\r\n0\r\n\r\n", Passed(POST)),
        chunks("a size with leading zeros", "0003\r\nabc\r\n000\r\n\r\n", Passed(POST)),
        chunks("a size in capitals", "A\r\n0123456789\r\n0\r\n\r\n", Passed(POST)),
        chunks("an extension", "3;a=b\r\nabc\r\n0\r\n\r\n", Passed(POST)),
        chunks("an extension in quotes", "3;a=\"b\"\r\nabc\r\n0\r\n\r\n", Passed(POST)),
        chunks("an extension without a name", "3;\r\nabc\r\n0\r\n\r\n", Passed(POST)),
        chunks("an extension of the last chunk", "3\r\nabc\r\n0;a=b\r\n\r\n", Passed(POST)),
        chunks("an extension with a bare line feed", "3;a\nb\r\nabc\r\n0\r\n\r\n", Refused(400)),
        chunks("an extension with a bare carriage return", "3;a\rb\r\nabc\r\n0\r\n\r\n", Refused(400)),
        chunks(
            "an extension of 40 KiB",
            &format!("3;{}\r\nabc\r\n0\r\n\r\n", "a".repeat(40 << 10)),
            Refused(400),
        )
        .stricter(SIZE),
        chunks("a space after the size", "3 \r\nabc\r\n0\r\n\r\n", Passed(POST)),
        chunks("a space before the size", " 3\r\nabc\r\n0\r\n\r\n", Refused(400)),
        chunks("a size that is no number", "zz\r\nabc\r\n0\r\n\r\n", Refused(400)),
        chunks("a size with 0x", "0x3\r\nabc\r\n0\r\n\r\n", Refused(400)),
        chunks("a size with a minus", "-3\r\nabc\r\n0\r\n\r\n", Refused(400)),
        chunks("a size with a plus", "+3\r\nabc\r\n0\r\n\r\n", Refused(400)),
        chunks("a size with an underscore", "0_3\r\nabc\r\n0\r\n\r\n", Refused(400)),
        chunks("no size", "\r\nabc\r\n0\r\n\r\n", Refused(400)),
        chunks("a size of 2^64 + 3", "10000000000000003\r\nabc\r\n0\r\n\r\n", Refused(400)),
        chunks("a size of 2^64 - 1", "ffffffffffffffff\r\nabc\r\n0\r\n\r\n", Refused(408)),
        chunks("a size that is too small", "2\r\nabc\r\n0\r\n\r\n", Refused(400)),
        chunks("a size that is too large", "4\r\nabc\r\n0\r\n\r\n", Refused(400)).stricter(LINE),
        chunks("a line feed after the size", "3\nabc\r\n0\r\n\r\n", Refused(400)).stricter(LINE),
        chunks("a line feed after the data", "3\r\nabc\n0\r\n\r\n", Refused(400)).stricter(LINE),
        chunks("a carriage return after the size", "3\rabc\r\n0\r\n\r\n", Refused(400)),
        chunks("no line end after the data", "3\r\nabc0\r\n\r\n", Refused(400)),
        chunks("two other bytes after the data", "3\r\nabcXX0\r\n\r\n", Refused(400)),
        chunks("a line feed after the last size", "3\r\nabc\r\n0\n\r\n", Refused(400)).stricter(LINE),
        chunks("a line feed at the end", "3\r\nabc\r\n0\r\n\n", Refused(408)).stricter(LINE),
        chunks("line feeds only", "3\nabc\n0\n\n", Refused(400)).stricter(LINE),
        chunks("no last chunk", "3\r\nabc\r\n", Refused(408)),
        chunks("a trailer", "3\r\nabc\r\n0\r\nX: y\r\n\r\n", Passed(POST)),
        chunks("a trailer with a length", "3\r\nabc\r\n0\r\nContent-Length: 9\r\n\r\n", Passed(POST)),
        chunks("a trailer with a Host", "3\r\nabc\r\n0\r\nHost: b.example\r\n\r\n", Passed(POST)),
        chunks("a trailer that is no field", "3\r\nabc\r\n0\r\nGET / HTTP/1.1\r\n\r\n", Refused(400))
            .stricter("RFC 9112 §7.1.2: trailers are fields; nginx reads over them"),
        chunks("a trailer of 40 KiB", &format!("0\r\nX: {}\r\n\r\n", "a".repeat(40 << 10)), Refused(400))
            .stricter(SIZE),
    ]
}
