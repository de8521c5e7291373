//! Where a body ends: `Content-Length` and `Transfer-Encoding`.

use super::super::row::{Expected::*, Row, post, row};

const POST: &[&str] = &["POST / HTTP/1.1"];
const GET: &[&str] = &["GET / HTTP/1.1"];
const EMPTY: &str = "0\r\n\r\n";
const SMUGGLED: &str = "0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a.example\r\n\r\n";

const EQUAL: &str = "RFC 9110 §8.6: equal lengths may be taken for one, and one is sent on";
const TAB: &str = "RFC 9110 §5.6.3: a tab is whitespace like a space";
const FOLDED: &str = "RFC 9112 §5.2: a folded field is refused; haproxy joins its lines";
const LIST: &str = "RFC 9110 §8.6: a list of lengths may be refused, as nginx does";
const CODING: &str = "RFC 9112 §6.1: chunked once and alone, in one field";
const BOTH: &str =
    "RFC 9112 §6.3: the coding counts, the length is not sent on, and the connection ends, as haproxy has it";
const HTTP_1_0: &str = "RFC 9112 §6.1: a coding in HTTP/1.0 has faulty framing";

/// Payloads about the length of a body.
pub(crate) fn rows() -> Vec<Row> {
    let coding =
        |name, coding: &str, expected| post(name, &format!("Transfer-Encoding: {coding}"), EMPTY, expected);
    let length =
        |name, length: &str, expected| post(name, &format!("Content-Length: {length}"), "abc", expected);
    vec![
        length("a length", "3", Passed(POST)),
        length("a length with a plus", "+3", Refused(400)),
        length("a length with a minus", "-3", Refused(400)),
        length("a length with leading zeros", "0003", Passed(POST)),
        length("a length in hexadecimal", "0x3", Refused(400)),
        length("a length with a point", "3.0", Refused(400)),
        length("a length with a space within", "3 0", Refused(400)),
        length("a length with spaces around", "  3  ", Passed(POST)),
        length("a length with an exponent", "3e0", Refused(400)),
        length("an empty length", "", Refused(400)),
        length("a length in a list", "3, 3", Refused(400)).stricter(LIST),
        length("a length in a list of different ones", "3, 4", Refused(400)),
        length("a length with a letter", "3x", Refused(400)),
        length("a length in quotes", "\"3\"", Refused(400)),
        length("a length of 2^64 + 3", "18446744073709551619", Refused(400)),
        length("a length of 2^64 - 1", "18446744073709551615", Refused(431)),
        length("a length that does not come", "5", Refused(408)),
        length("two lengths that are equal", "3\r\nContent-Length: 3", Passed(POST)).laxer(EQUAL),
        length("two lengths that differ", "3\r\nContent-Length: 4", Refused(400)),
        length("two lengths, the second of none", "3\r\nContent-Length: 0", Refused(400)),
        post(
            "no length",
            "X: y",
            "GET /next-one HTTP/1.1\r\nHost: a.example\r\n\r\n",
            Passed(&["POST / HTTP/1.1", "GET /next-one HTTP/1.1"]),
        ),
        coding("a coding", "chunked", Passed(POST)),
        coding("a coding in capitals", "CHUNKED", Passed(POST)),
        coding("a coding with spaces around", "  chunked  ", Passed(POST)),
        coding("a coding with tabs around", "\tchunked\t", Passed(POST)).laxer(TAB),
        coding("a coding with a vertical tab", "\x0bchunked", Refused(400)),
        coding("a coding that is none", "xchunked", Refused(400)),
        coding("a coding with more letters", "chunkedx", Refused(400)),
        coding("a coding in quotes", "\"chunked\"", Refused(400)),
        coding("a coding with a parameter", "chunked;q=1", Refused(400)),
        coding("an empty coding", "", Refused(400)),
        coding("chunked twice in a list", "chunked, chunked", Refused(501)),
        coding("chunked and an empty one in a list", "chunked,", Refused(400)).stricter(CODING),
        coding("an empty one and chunked in a list", ",chunked", Refused(501)),
        coding("chunked before identity", "chunked, identity", Refused(400)),
        coding("identity before chunked", "identity, chunked", Refused(501)),
        coding("identity", "identity", Refused(400)),
        coding("gzip", "gzip", Refused(400)),
        coding("gzip before chunked", "gzip, chunked", Refused(501)),
        coding("chunked before gzip", "chunked, gzip", Refused(400)),
        coding("chunked in two fields", "chunked\r\nTransfer-Encoding: chunked", Refused(400)),
        coding(
            "chunked, then identity in a field of its own",
            "chunked\r\nTransfer-Encoding: identity",
            Refused(400),
        ),
        coding(
            "identity, then chunked in a field of its own",
            "identity\r\nTransfer-Encoding: chunked",
            Refused(400),
        ),
        coding("chunked, then an empty field", "chunked\r\nTransfer-Encoding:", Refused(400)).stricter(CODING),
        post("a coding with a space before the colon", "Transfer-Encoding : chunked", EMPTY, Refused(400)),
        post("a folded coding", "Transfer-Encoding:\r\n chunked", EMPTY, Refused(400)).stricter(FOLDED),
        post("a coding behind a bare line feed", "X: y\nTransfer-Encoding: chunked", EMPTY, Passed(POST)),
        post(
            "a coding behind a bare carriage return",
            "X: y\rTransfer-Encoding: chunked",
            EMPTY,
            Refused(400),
        ),
        post(
            "a length and a coding",
            "Content-Length: 4\r\nTransfer-Encoding: chunked",
            SMUGGLED,
            PassedAsTheLast(POST),
        ).laxer(BOTH),
        post(
            "a coding and a length",
            "Transfer-Encoding: chunked\r\nContent-Length: 4",
            SMUGGLED,
            PassedAsTheLast(POST),
        ).laxer(BOTH),
        post(
            "a length and a coding that is none",
            "Content-Length: 4\r\nTransfer-Encoding: xchunked",
            SMUGGLED,
            Refused(400),
        ),
        post(
            "a length and identity",
            "Content-Length: 4\r\nTransfer-Encoding: identity",
            SMUGGLED,
            Refused(400),
        ),
        post(
            "a length of none and a coding",
            "Content-Length: 0\r\nTransfer-Encoding: chunked",
            SMUGGLED,
            PassedAsTheLast(POST),
        ).laxer(BOTH),
        row(
            "a GET with a length",
            "GET / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 3\r\n\r\nabc",
            Passed(GET),
        ),
        row(
            "a GET with a coding",
            "GET / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
            Passed(GET),
        ),
        row(
            "a coding in HTTP/1.0",
            "POST / HTTP/1.0\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            Refused(400),
        ).stricter(HTTP_1_0),
        row(
            "a coding and a length in HTTP/1.0",
            "POST / HTTP/1.0\r\nHost: a.example\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            Refused(400),
        ).stricter(HTTP_1_0),
        row(
            "a length in HTTP/1.0",
            "POST / HTTP/1.0\r\nHost: a.example\r\nContent-Length: 3\r\n\r\nabc",
            PassedAsTheLast(POST),
        ),
    ]
}
