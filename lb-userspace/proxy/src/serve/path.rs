//! The path of a request in its one form: routed on, and sent on.
//!
//! What one program reads as `/a/b` and the next as `/b` has opened many an access rule (CVE-2019-9901). So escapes of
//! unreserved characters are resolved (RFC 3986 §6.2.2.2), dot segments removed (§5.2.4) and empty segments dropped,
//! once, before anything looks at the path. Other escapes stay: `%2F` is no `/`.

use std::borrow::Cow;

/// Why a path has no form that could be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BadPath(pub(super) &'static str);

/// The path in its normal form.
pub(super) fn normalise(path: &str) -> Result<Cow<'_, str>, BadPath> {
    if !path.starts_with('/') {
        return Err(BadPath("the request target is not a path"));
    }
    if is_normal(path.as_bytes()) {
        return Ok(Cow::Borrowed(path));
    }
    let decoded = resolve_escapes(path)?;
    remove_segments(&decoded).map(Cow::Owned)
}

/// True where nothing can be wrong: no escape, no empty segment, no segment that begins with a dot.
fn is_normal(path: &[u8]) -> bool {
    let mut previous = 0;
    for byte in path {
        if *byte == b'%' || (previous == b'/' && matches!(byte, b'/' | b'.')) {
            return false;
        }
        previous = *byte;
    }
    true
}

fn resolve_escapes(path: &str) -> Result<String, BadPath> {
    let mut resolved = String::with_capacity(path.len());
    let mut rest = path;
    while let Some((before, escape)) = rest.split_once('%') {
        resolved.push_str(before);
        let code = escape
            .get(..2)
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
            .and_then(|digits| u8::from_str_radix(digits, 16).ok())
            .ok_or(BadPath("the path has a % that two hexadecimal digits do not follow"))?;
        match code {
            0 => return Err(BadPath("the path has an escaped NUL")),
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                resolved.push(char::from(code));
            }
            // Digits in one case, so that one character has one form (§6.2.2.1).
            _ => {
                resolved.extend(['%'].into_iter().chain(escape[..2].chars().map(|c| c.to_ascii_uppercase())))
            }
        }
        rest = &escape[2..];
    }
    resolved.push_str(rest);
    Ok(resolved)
}

fn remove_segments(path: &str) -> Result<String, BadPath> {
    let mut kept: Vec<&str> = Vec::new();
    let mut ends_with_slash = false;
    for segment in path.split('/').skip(1) {
        ends_with_slash = matches!(segment, "" | "." | "..");
        match segment {
            "" | "." => {}
            ".." => {
                kept.pop().ok_or(BadPath("the path leads above its root"))?;
            }
            other => kept.push(other),
        }
    }
    let mut result = String::with_capacity(path.len());
    for segment in &kept {
        result.push('/');
        result.push_str(segment);
    }
    if ends_with_slash || result.is_empty() {
        result.push('/');
    }
    Ok(result)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_one_form() {
        for (path, normal) in [
            ("/", "/"),
            ("/a/b.c/d/", "/a/b.c/d/"),
            ("/a//b", "/a/b"),
            ("//", "/"),
            ("/a/./b/.", "/a/b/"),
            ("/a/../b", "/b"),
            ("/a/b/..", "/a/"),
            ("/a/%2e%2E/admin", "/admin"),
            ("/%61dmin", "/admin"),
            ("/a%2fb", "/a%2Fb"),
            ("/a/%2f/../b", "/a/b"),
            ("/.well-known/x", "/.well-known/x"),
            ("/...", "/..."),
            ("/a%20b", "/a%20b"),
        ] {
            assert_eq!(normalise(path).unwrap(), normal, "{path}");
        }
    }

    #[test]
    fn a_normal_path_costs_nothing() {
        assert!(matches!(normalise("/api/v1/items.json"), Ok(Cow::Borrowed(_))));
    }

    #[test]
    fn a_path_that_cannot_be_trusted_is_refused() {
        for path in ["/..", "/a/../../b", "/%2e%2e/etc", "/a%", "/a%2", "/%zz", "/a%00", "*", "", "/a%+1"] {
            assert!(normalise(path).is_err(), "{path}");
        }
    }
}
