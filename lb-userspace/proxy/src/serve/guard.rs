//! What a request must be before anything is done with it: what hyper lets through and a proxy must not.
//!
//! Where two programs disagree about who is asked for what, or where a request ends, requests are smuggled. Each rule
//! names the text it follows; nginx keeps all of them.

use std::borrow::Cow;

use hyper::{
    HeaderMap, Method, Request, StatusCode, Uri, Version,
    header::{self, HeaderName, HeaderValue},
};

use super::{
    host,
    path::{self, BadPath},
};

/// The longest request target, as nginx has it with `large_client_header_buffers`.
const LONGEST_TARGET: usize = 8 << 10;

/// A request that is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) status: StatusCode,
    /// For the client: what is wrong, nothing of what is behind the proxy.
    pub(super) reason: &'static str,
}

const fn bad(reason: &'static str) -> Refused {
    Refused { status: StatusCode::BAD_REQUEST, reason }
}

/// What the fields of a request told.
#[derive(Debug, Default)]
pub(super) struct Fields {
    hosts: usize,
    /// Some field is there more than once.
    pub(super) repeats: bool,
    transfer_encodings: usize,
    /// `Connection` is there, and may name others.
    pub(super) connection: bool,
    /// `Upgrade` is there.
    pub(super) upgrade: bool,
    /// There are fields of the kind that the proxy itself sets.
    pub(super) forwarded: bool,
    /// There are names with an underscore.
    pub(super) underscores: bool,
    /// There are other fields that concern one connection only.
    pub(super) hop_by_hop: bool,
}

impl Fields {
    fn of(headers: &HeaderMap) -> Self {
        let mut fields = Self::default();
        // Counting is for those who send a field twice.
        let repeats = headers.keys_len() != headers.len();
        let count = |name| if repeats { headers.get_all(name).iter().count() } else { 1 };
        fields.repeats = repeats;
        for name in headers.keys() {
            match name.as_str() {
                "host" => fields.hosts = count(header::HOST),
                "transfer-encoding" => {
                    fields.transfer_encodings = count(header::TRANSFER_ENCODING);
                    fields.hop_by_hop = true;
                }
                "connection" => fields.connection = true,
                "upgrade" => fields.upgrade = true,
                "te" | "expect" | "keep-alive" | "proxy-connection" | "proxy" | "http2-settings" => {
                    fields.hop_by_hop = true;
                }
                other if is_forwarded(other) => fields.forwarded = true,
                other => fields.underscores |= other.contains('_'),
            }
        }
        fields
    }
}

/// True for fields that tell of the way of a request, which clients could forge.
pub(super) fn is_forwarded(name: &str) -> bool {
    name.starts_with("x-forwarded-") || matches!(name, "forwarded" | "x-real-ip" | "x-scheme")
}

/// Who is asked for what.
#[derive(Debug)]
pub(super) struct Target<'a> {
    /// As routes know it; empty where an HTTP/1.0 client names none.
    pub(super) host: Cow<'a, str>,
    /// In its normal form.
    pub(super) path: Cow<'a, str>,
    pub(super) query: Option<&'a str>,
    pub(super) fields: Fields,
}

impl Target<'_> {
    /// Path and query as endpoints would see them.
    pub(super) fn path_and_query(&self) -> String {
        match self.query {
            None => self.path.to_string(),
            Some(query) => format!("{}?{query}", self.path),
        }
    }
}

/// Checks a request, and reads whom it asks for what.
pub(super) fn check<B>(request: &Request<B>) -> Result<Target<'_>, Refused> {
    let uri = request.uri();
    let method_not_allowed = |reason| Refused { status: StatusCode::METHOD_NOT_ALLOWED, reason };
    if request.method() == Method::CONNECT {
        return Err(method_not_allowed("this is no forward proxy"));
    }
    // RFC 9110 §9.3.8: its answer would show scripts the cookies that they may not see.
    if request.method() == Method::TRACE {
        return Err(method_not_allowed("TRACE is not answered"));
    }
    if length(uri) > LONGEST_TARGET {
        return Err(Refused { status: StatusCode::URI_TOO_LONG, reason: "the request target is too long" });
    }
    let fields = Fields::of(request.headers());
    if fields.transfer_encodings > 0 {
        check_coding(request.headers(), fields.transfer_encodings)?;
    }
    if fields.hosts > 1 {
        // RFC 9112 §3.2.
        return Err(bad("more than one Host"));
    }
    let host = host_of(request)?;
    let path = path::normalise(uri.path()).map_err(|BadPath(reason)| bad(reason))?;
    Ok(Target { host, path, query: uri.query(), fields })
}

/// RFC 9112 §6.1: chunked once, and nothing beside it. hyper takes every list that ends with it, and undoes that alone:
/// the endpoint would be told of none of the others.
fn check_coding(headers: &HeaderMap, count: usize) -> Result<(), Refused> {
    if count > 1 {
        return Err(bad("more than one Transfer-Encoding"));
    }
    match headers.get(header::TRANSFER_ENCODING) {
        Some(coding) if !coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked") => {
            let reason = "Transfer-Encoding is not chunked alone";
            Err(Refused { status: StatusCode::NOT_IMPLEMENTED, reason })
        }
        _ => Ok(()),
    }
}

fn length(uri: &Uri) -> usize {
    uri.path_and_query().map_or(0, |target| target.as_str().len())
}

fn host_of<B>(request: &Request<B>) -> Result<Cow<'_, str>, Refused> {
    let field = match request.headers().get(header::HOST).map(HeaderValue::to_str) {
        None => None,
        Some(Ok(text)) => Some(text),
        Some(Err(_)) => return Err(bad("Host is not a host")),
    };
    let authority = request.uri().authority().map(|authority| authority.as_str());
    let name = match (authority, field) {
        // RFC 9113 §8.3.1: the two must not differ.
        (Some(authority), Some(field)) if request.version() == Version::HTTP_2 => {
            if !authority.eq_ignore_ascii_case(field) {
                return Err(bad(":authority and Host differ"));
            }
            authority
        }
        // RFC 9112 §3.2.2: with a target in absolute form, Host does not count; it must be a host all the same (§3.2).
        (Some(authority), Some(field)) => {
            host::parse(field).ok_or(bad("Host is not a host"))?;
            authority
        }
        (None, Some(field)) => field,
        (_, None) if request.version() == Version::HTTP_11 => return Err(bad("no Host")),
        (Some(authority), None) => authority,
        (None, None) if request.version() == Version::HTTP_10 => return Ok(Cow::Borrowed("")),
        (None, None) => return Err(bad("no Host")),
    };
    host::parse(name).ok_or(bad("Host is not a host"))
}

/// True where the request asks for a WebSocket as RFC 6455 §4.1 has it.
///
/// Other upgrades are not passed on: to an endpoint that ignores one, what follows would be the next request, from
/// somebody whom nobody has checked (CVE-2026-2833).
pub(super) fn is_websocket<B>(request: &Request<B>, has_body: bool) -> bool {
    let has_token = |name: HeaderName, wanted: &str| {
        request
            .headers()
            .get_all(name)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .any(|value| value.split(',').any(|token| token.trim().eq_ignore_ascii_case(wanted)))
    };
    request.method() == Method::GET
        && request.version() == Version::HTTP_11
        && !has_body
        && has_token(header::CONNECTION, "upgrade")
        && has_token(header::UPGRADE, "websocket")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(uri: &str, version: Version, fields: &[(&str, &str)]) -> Request<()> {
        let mut builder = Request::builder().uri(uri).version(version);
        for (name, value) in fields {
            builder = builder.header(*name, *value);
        }
        builder.body(()).unwrap()
    }

    fn status(uri: &str, version: Version, fields: &[(&str, &str)]) -> Result<String, u16> {
        check(&request(uri, version, fields))
            .map(|target| target.host.into_owned())
            .map_err(|refused| refused.status.as_u16())
    }

    #[test]
    fn a_request_names_one_host() {
        let v11 = Version::HTTP_11;
        assert_eq!(status("/", v11, &[("host", "a")]), Ok("a".to_owned()));
        assert_eq!(status("/", v11, &[("host", "a"), ("host", "a")]), Err(400));
        assert_eq!(status("/", v11, &[]), Err(400));
        assert_eq!(status("/", Version::HTTP_10, &[]), Ok(String::new()));
        assert_eq!(status("http://a/", v11, &[("host", "b")]), Ok("a".to_owned()));
        assert_eq!(status("http://a/", v11, &[("host", "b/c")]), Err(400));
        assert_eq!(status("http://a/", v11, &[]), Err(400));
        assert_eq!(status("http://a/", Version::HTTP_10, &[]), Ok("a".to_owned()));
        assert_eq!(status("http://a/", Version::HTTP_2, &[]), Ok("a".to_owned()));
        assert_eq!(status("http://a/", Version::HTTP_2, &[("host", "b")]), Err(400));
        assert_eq!(status("http://a/", Version::HTTP_2, &[("host", "A")]), Ok("a".to_owned()));
    }

    #[test]
    fn two_transfer_encodings_are_refused() {
        let fields = [("host", "a"), ("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")];
        assert_eq!(status("/", Version::HTTP_11, &fields), Err(400));
    }

    #[test]
    fn a_transfer_encoding_is_chunked_alone() {
        for (coding, expected) in [
            ("chunked", Ok("a".to_owned())),
            ("Chunked", Ok("a".to_owned())),
            ("chunked, chunked", Err(501)),
            ("gzip, chunked", Err(501)),
            (",chunked", Err(501)),
        ] {
            let fields = [("host", "a"), ("transfer-encoding", coding)];
            assert_eq!(status("/", Version::HTTP_11, &fields), expected, "{coding}");
        }
    }

    #[test]
    fn trace_and_connect_are_refused() {
        for method in [Method::TRACE, Method::CONNECT] {
            let request = Request::builder().method(method).uri("http://a/").body(()).unwrap();
            assert_eq!(check(&request).unwrap_err().status, StatusCode::METHOD_NOT_ALLOWED);
        }
    }

    #[test]
    fn a_target_of_more_than_8_kib_is_refused() {
        let long = format!("/{}", "a".repeat(LONGEST_TARGET));
        assert_eq!(status(&long, Version::HTTP_11, &[("host", "a")]), Err(414));
    }

    #[test]
    fn only_a_get_without_a_body_becomes_a_websocket() {
        let fields = [("connection", "keep-alive, Upgrade"), ("upgrade", "WebSocket")];
        assert!(is_websocket(&request("/", Version::HTTP_11, &fields), false));
        assert!(!is_websocket(&request("/", Version::HTTP_11, &fields), true));
        assert!(!is_websocket(&request("/", Version::HTTP_10, &fields), false));
        assert!(!is_websocket(&request("/", Version::HTTP_11, &[("upgrade", "websocket")]), false));
        let h2c = [("connection", "upgrade"), ("upgrade", "h2c")];
        assert!(!is_websocket(&request("/", Version::HTTP_11, &h2c), false));
    }
}
