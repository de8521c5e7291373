//! Values that several annotations have.

use std::{str::FromStr, time::Duration};

use lb_model::cidr::CidrError;

use crate::config::{LocationError, TemplateError};

/// Why a value cannot be read; the message goes on after the value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ValueError {
    #[error("is neither true nor false")]
    Boolean,
    #[error("is no whole number from {least} to {most}")]
    Number { least: u64, most: u64 },
    #[error("is no number of seconds; write for example 60 or 60s")]
    Seconds,
    #[error("is no size; write for example 512k, 8m or 1g, or 0 for no limit")]
    Size,
    #[error("is none of {0}")]
    OneOf(&'static str),
    #[error("cannot be sent in a header: it is empty, or has characters other than visible ASCII and spaces")]
    Header,
    #[error("is no path; write one that begins with / and has no spaces")]
    Path,
    #[error("is not understood: {0}")]
    Range(#[from] CidrError),
    #[error("names no range; write ranges as ADDRESS/LENGTH with commas between them")]
    NoRange,
    #[error("has `{0}`, which is no host name")]
    Host(String),
    #[error("is no name of a Service")]
    Service,
    #[error("has `{0}`, which is no origin; write *, https://HOST or https://*.DOMAIN")]
    Origin(String),
    #[error("is no name of a cookie")]
    Cookie,
    #[error("is not understood: {0}")]
    Template(#[from] TemplateError),
    #[error("{0}")]
    Location(#[from] LocationError),
}

/// As `strconv.ParseBool` of Go, which ingress-nginx reads with.
pub(super) fn boolean(text: &str) -> Result<bool, ValueError> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(ValueError::Boolean),
    }
}

/// A whole number in a range.
pub(super) fn number<T: FromStr + PartialOrd + Copy + Into<u64>>(
    text: &str,
    least: T,
    most: T,
) -> Result<T, ValueError> {
    let number = text.parse().ok().filter(|number| (least..=most).contains(number));
    number.ok_or(ValueError::Number { least: least.into(), most: most.into() })
}

/// A positive number, or none for 0.
pub(super) fn limit(text: &str) -> Result<Option<u32>, ValueError> {
    Ok(Some(number(text, 0, u32::MAX)?).filter(|number| *number > 0))
}

/// Seconds, with or without their unit.
pub(super) fn seconds(text: &str) -> Result<Duration, ValueError> {
    let number = text.strip_suffix('s').unwrap_or(text);
    number.parse::<u32>().map(|number| Duration::from_secs(number.into())).map_err(|_| ValueError::Seconds)
}

/// Seconds that must be more than none: a wait of none lets nothing through.
pub(super) fn timeout(text: &str) -> Result<Duration, ValueError> {
    seconds(text).and_then(|time| if time.is_zero() { Err(ValueError::Seconds) } else { Ok(time) })
}

/// Bytes, with nginx' units; none for 0.
pub(super) fn size(text: &str) -> Result<Option<u64>, ValueError> {
    let (number, shift) = match text.char_indices().next_back() {
        Some((at, 'k' | 'K')) => (&text[..at], 10),
        Some((at, 'm' | 'M')) => (&text[..at], 20),
        Some((at, 'g' | 'G')) => (&text[..at], 30),
        _ => (text, 0),
    };
    let bytes = number.parse::<u64>().ok().and_then(|number| number.checked_mul(1 << shift));
    bytes.map(|bytes| Some(bytes).filter(|bytes| *bytes > 0)).ok_or(ValueError::Size)
}

/// Text for a header's value.
pub(super) fn header(text: &str) -> Result<String, ValueError> {
    let fits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
    if fits { Ok(text.to_owned()) } else { Err(ValueError::Header) }
}

/// A path.
pub(super) fn path(text: &str) -> Result<String, ValueError> {
    let fits = text.starts_with('/') && text.bytes().all(|byte| byte.is_ascii_graphic());
    if fits { Ok(text.to_owned()) } else { Err(ValueError::Path) }
}

/// Items between commas, without those that are empty.
pub(super) fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}

/// A host name in lower case, perhaps with `*` for its first label.
pub(super) fn host(text: &str) -> Result<String, ValueError> {
    let host = text.to_ascii_lowercase();
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    let name = host.strip_prefix("*.").unwrap_or(&host);
    if host.len() <= 253 && name.split('.').all(is_label) {
        Ok(host)
    } else {
        Err(ValueError::Host(text.to_owned()))
    }
}

/// A name as RFC 9110 §5.6.2 has it: a token.
pub(super) fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}
