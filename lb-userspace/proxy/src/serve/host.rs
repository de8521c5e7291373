//! The host of a request, as routes know it.

use std::borrow::Cow;

/// The host of an authority: in lower case, without port and final dot. None where it is no host (RFC 3986 §3.2.2).
pub(super) fn parse(authority: &str) -> Option<Cow<'_, str>> {
    let (host, port) = if authority.starts_with('[') {
        let end = authority.find(']')? + 1;
        (&authority[..end], &authority[end..])
    } else {
        authority.split_at(authority.find(':').unwrap_or(authority.len()))
    };
    let port = port.strip_prefix(':').unwrap_or(port);
    if host.is_empty() || port.len() > 5 || !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let host = host.strip_suffix('.').filter(|host| !host.is_empty()).unwrap_or(host);
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=%[]:".contains(&byte);
    if !host.bytes().all(allowed) {
        return None;
    }
    if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Some(Cow::Owned(host.to_ascii_lowercase()));
    }
    Some(Cow::Borrowed(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_no_port_no_final_dot_and_no_capitals() {
        for (authority, host) in [
            ("a.example", "a.example"),
            ("A.Example:8443", "a.example"),
            ("a.example.", "a.example"),
            ("a.example.:80", "a.example"),
            ("[2001:DB8::1]:80", "[2001:db8::1]"),
            ("192.0.2.1:", "192.0.2.1"),
        ] {
            assert_eq!(parse(authority).unwrap(), host, "{authority}");
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for authority in
            ["", ":80", "user@a.example", "a/b", "a b", "a:8o", "a:80:80", "a:800000", "[::1", "a\"b"]
        {
            assert_eq!(parse(authority), None, "{authority}");
        }
    }
}
