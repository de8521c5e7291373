//! Cookies that keep clients at their endpoints.

use super::{
    reader::Reader,
    value::{self, ValueError, is_token},
};
use crate::config::{CookieAffinity, SameSite};

/// What ingress-nginx calls its cookie.
const NAME: &str = "INGRESSCOOKIE";

pub(super) fn read(reader: &mut Reader<'_>) -> Option<CookieAffinity> {
    reader
        .read("affinity", |text| if text == "cookie" { Ok(()) } else { Err(ValueError::OneOf("cookie")) })?;
    Some(CookieAffinity {
        name: reader.read("session-cookie-name", name).unwrap_or_else(|| NAME.to_owned()),
        path: reader.read("session-cookie-path", path).unwrap_or_else(|| "/".to_owned()),
        domain: reader.read("session-cookie-domain", domain),
        max_age: reader.read("session-cookie-max-age", |text| value::number(text, 0, u64::MAX)),
        same_site: reader.read("session-cookie-samesite", same_site),
        secure: reader.read("session-cookie-secure", value::boolean),
        change_on_failure: reader.is_set("session-cookie-change-on-failure"),
    })
}

fn name(text: &str) -> Result<String, ValueError> {
    if is_token(text) { Ok(text.to_owned()) } else { Err(ValueError::Cookie) }
}

/// A path without what ends an attribute (RFC 6265 §4.1.1).
fn path(text: &str) -> Result<String, ValueError> {
    value::path(text).and_then(|path| if path.contains(';') { Err(ValueError::Path) } else { Ok(path) })
}

/// A domain, with or without the dot that RFC 6265 §5.2.3 drops.
fn domain(text: &str) -> Result<String, ValueError> {
    value::host(text.strip_prefix('.').unwrap_or(text))
}

fn same_site(text: &str) -> Result<SameSite, ValueError> {
    match text.to_ascii_lowercase().as_str() {
        "lax" => Ok(SameSite::Lax),
        "strict" => Ok(SameSite::Strict),
        "none" => Ok(SameSite::None),
        _ => Err(ValueError::OneOf("Lax, Strict and None")),
    }
}
