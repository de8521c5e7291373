//! A cookie that keeps a client at its endpoint.

use std::{
    fmt::Write,
    hash::{DefaultHasher, Hash, Hasher},
    net::SocketAddr,
    rc::Rc,
};

use hyper::header::HeaderValue;

use crate::{
    config::{CookieAffinity, SameSite},
    upstream::{Endpoint, Upstream},
};

/// What the cookie says of an endpoint: enough to find it again, nothing about where it is.
fn identity(address: SocketAddr) -> u64 {
    let mut hasher = DefaultHasher::new();
    ("sluice-affinity", address).hash(&mut hasher);
    hasher.finish()
}

/// The endpoint that a cookie's value means, as long as it serves.
pub(super) fn endpoint(upstream: &Upstream, value: &str) -> Option<Rc<Endpoint>> {
    let wanted = u64::from_str_radix(value, 16).ok()?;
    upstream.kept(|endpoint| identity(endpoint.address()) == wanted)
}

/// `Set-Cookie` (RFC 6265 §4.1) for a client that was sent to an endpoint.
pub(super) fn set_cookie(
    affinity: &CookieAffinity,
    endpoint: SocketAddr,
    is_secure: bool,
) -> Option<HeaderValue> {
    let mut text = format!("{}={:016x}; Path={}", affinity.name, identity(endpoint), affinity.path);
    // Writing to a string does not fail.
    if let Some(domain) = &affinity.domain {
        let _ = write!(text, "; Domain={domain}");
    }
    if let Some(seconds) = affinity.max_age {
        let _ = write!(text, "; Max-Age={seconds}");
    }
    if affinity.secure.unwrap_or(is_secure) {
        text.push_str("; Secure");
    }
    text.push_str("; HttpOnly");
    match affinity.same_site {
        None => {}
        Some(SameSite::Lax) => text.push_str("; SameSite=Lax"),
        Some(SameSite::Strict) => text.push_str("; SameSite=Strict"),
        Some(SameSite::None) => text.push_str("; SameSite=None"),
    }
    HeaderValue::try_from(text).ok()
}
