//! Paths of rules as requests spell them.

use std::{borrow::Cow, fmt::Write};

/// Why no request has a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum PathError {
    #[error("it does not begin with `/`")]
    Relative,
    #[error("it has an empty element or one of dots, which requests lose before they are matched")]
    Normalised,
}

/// The path with its characters escaped as those of requests are once they are normalised (RFC 3986 §6.2.2): unreserved
/// ones stand for themselves, escapes have upper-case digits, and what a path cannot hold is escaped.
pub(super) fn canonical(path: &str) -> Result<Cow<'_, str>, PathError> {
    if !path.starts_with('/') {
        return Err(PathError::Relative);
    }
    let path = escape(path);
    let elements = path.strip_suffix('/').unwrap_or(&path).split('/').skip(1);
    if elements.into_iter().any(|element| matches!(element, "" | "." | "..")) {
        return Err(PathError::Normalised);
    }
    Ok(path)
}

fn escape(path: &str) -> Cow<'_, str> {
    if path.bytes().all(|byte| is_unreserved(byte) || is_allowed(byte)) {
        return Cow::Borrowed(path);
    }
    let bytes = path.as_bytes();
    let mut result = String::with_capacity(path.len() + 8);
    let mut at = 0;
    while at < bytes.len() {
        let (byte, next) = match escaped(&bytes[at..]) {
            Some(byte) => (byte, at + 3),
            None => (bytes[at], at + 1),
        };
        let is_escaped = next > at + 1;
        if is_unreserved(byte) || (is_allowed(byte) && !is_escaped) {
            result.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(result, "%{byte:02X}");
        }
        at = next;
    }
    Cow::Owned(result)
}

/// The byte behind an escape at the begin.
fn escaped(bytes: &[u8]) -> Option<u8> {
    match bytes {
        [b'%', high, low, ..] => {
            let digit = |byte: u8| char::from(byte).to_digit(16);
            u8::try_from(digit(*high)? << 4 | digit(*low)?).ok()
        }
        _ => None,
    }
}

/// RFC 3986 §2.3.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

/// What else a path holds unescaped: `pchar` of RFC 3986 §3.3, and the slash.
fn is_allowed(byte: u8) -> bool {
    b"/!$&'()*+,;=:@".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_spelt_as_requests_spell_it() {
        for (path, expected) in [
            ("/", "/"),
            ("/foo/", "/foo/"),
            ("/a b", "/a%20b"),
            ("/ü", "/%C3%BC"),
            ("/%c3%bc", "/%C3%BC"),
            ("/%41%2d%2f", "/A-%2F"),
            ("/100%", "/100%25"),
            ("/a;b=c@d", "/a;b=c@d"),
        ] {
            assert_eq!(canonical(path).as_deref(), Ok(expected), "{path}");
        }
    }

    #[test]
    fn what_no_normalised_request_has_is_refused() {
        assert_eq!(canonical("foo"), Err(PathError::Relative));
        assert_eq!(canonical(""), Err(PathError::Relative));
        for path in ["//", "/a//b", "/a/./b", "/../a", "/a/..", "/a/%2e%2E/b"] {
            assert_eq!(canonical(path), Err(PathError::Normalised), "{path}");
        }
    }
}
