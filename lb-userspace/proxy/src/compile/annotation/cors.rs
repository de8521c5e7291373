//! Cross-origin requests.

use super::{
    reader::Reader,
    value::{self, ValueError, is_token},
};
use crate::config::Cors;

/// What ingress-nginx answers without further annotations.
const METHODS: &str = "GET, PUT, POST, DELETE, PATCH, OPTIONS";
const HEADERS: &str = "DNT,Keep-Alive,User-Agent,X-Requested-With,If-Modified-Since,Cache-Control,Content-Type,Range,Authorization";
const MAX_AGE: u64 = 1_728_000;

pub(super) fn read(reader: &mut Reader<'_>) -> Option<Cors> {
    if !reader.is_set("enable-cors") {
        return None;
    }
    let text = |default: &'static str| move || default.to_owned();
    Some(Cors {
        // No origin at all, rather than all of them, where the list cannot be read.
        origins: match reader.key("cors-allow-origin") {
            Some(_) => reader.read("cors-allow-origin", origins).unwrap_or_default(),
            None => vec!["*".to_owned()],
        },
        methods: reader.read("cors-allow-methods", tokens).unwrap_or_else(text(METHODS)),
        headers: reader.read("cors-allow-headers", tokens).unwrap_or_else(text(HEADERS)),
        expose: reader.read("cors-expose-headers", tokens),
        credentials: reader.read("cors-allow-credentials", value::boolean).unwrap_or(true),
        max_age: reader.read("cors-max-age", |text| value::number(text, 0, u64::MAX)).unwrap_or(MAX_AGE),
    })
}

fn origins(text: &str) -> Result<Vec<String>, ValueError> {
    value::list(text).map(origin).collect()
}

/// `*`, or a scheme, a host (perhaps with `*` for its first labels) and perhaps a port.
fn origin(text: &str) -> Result<String, ValueError> {
    let error = || ValueError::Origin(text.to_owned());
    if text == "*" {
        return Ok(text.to_owned());
    }
    let (scheme, rest) = text.split_once("://").ok_or_else(error)?;
    let (host, port) = rest.split_once(':').map_or((rest, None), |(host, port)| (host, Some(port)));
    let is_port = port.is_none_or(|port| port.parse::<u16>().is_ok());
    let host = value::host(host).map_err(|_| error())?;
    if !scheme.bytes().all(|byte| byte.is_ascii_alphanumeric()) || scheme.is_empty() || !is_port {
        return Err(error());
    }
    Ok(match port {
        Some(port) => format!("{}://{host}:{port}", scheme.to_ascii_lowercase()),
        None => format!("{}://{host}", scheme.to_ascii_lowercase()),
    })
}

/// Methods or names of headers, as they were written.
fn tokens(text: &str) -> Result<String, ValueError> {
    let fits = value::list(text).next().is_some() && value::list(text).all(is_token);
    if fits { Ok(text.to_owned()) } else { Err(ValueError::Header) }
}
