//! Every annotation that is supported, with values that are right and wrong.

use std::time::Duration;

use super::*;
use crate::config::{
    Balance, CookieAffinity, Cors, HashKey, Limits, NextUpstream, Retry, SameSite, Timeouts, TlsRedirect,
    UpstreamProtocol,
};

/// The redirect of all requests, its `Location` for `http://foo.com/x`.
fn redirect(annotations: &[(&str, &str)]) -> (u16, String) {
    let redirect = accepted(annotations).redirect.unwrap();
    (redirect.status, redirect.location("http", "foo.com", "/x"))
}

#[test]
fn without_annotations_the_defaults_are_in_force() {
    assert_eq!(policy(&[]), Policy::default());
    let set_to_default = [
        ("ssl-redirect", "true"),
        ("force-ssl-redirect", "false"),
        ("kubernetes.io/ingress.allow-http", "true"),
        ("proxy-body-size", "1m"),
        ("proxy-connect-timeout", "5"),
        ("proxy-read-timeout", "60s"),
        ("proxy-send-timeout", "60"),
        ("proxy-next-upstream", "error timeout"),
        ("proxy-next-upstream-tries", "3"),
        ("proxy-next-upstream-timeout", "0"),
        ("limit-burst-multiplier", "5"),
        ("enable-access-log", "true"),
        ("enable-cors", "false"),
    ];
    assert_eq!(policy(&set_to_default), Policy::default());
}

#[test]
fn redirects_to_tls() {
    let of = |annotations: &[(&str, &str)]| policy(annotations).tls_redirect;
    assert_eq!(of(&[("ssl-redirect", "false")]), TlsRedirect::Never);
    assert_eq!(of(&[("force-ssl-redirect", "true")]), TlsRedirect::Always);
    assert_eq!(of(&[("ssl-redirect", "false"), ("force-ssl-redirect", "true")]), TlsRedirect::Always);
    assert!(!policy(&[("kubernetes.io/ingress.allow-http", "false")]).allow_http);
}

#[test]
fn redirects_of_everything() {
    assert_eq!(
        redirect(&[("permanent-redirect", "https://bar.com$request_uri")]),
        (301, "https://bar.com/x".into())
    );
    assert_eq!(
        redirect(&[("permanent-redirect", "/y"), ("permanent-redirect-code", "308")]),
        (308, "/y".into())
    );
    assert_eq!(
        redirect(&[("temporal-redirect", "https://bar.com"), ("temporal-redirect-code", "307")]),
        (307, "https://bar.com".into())
    );
    assert_eq!(redirect(&[("temporal-redirect", "/t"), ("permanent-redirect", "/p")]), (302, "/t".into()));
    assert_eq!(policy(&[("app-root", "/app")]).app_root.as_deref(), Some("/app"));
}

#[test]
fn hosts_and_headers() {
    assert_eq!(accepted(&[("server-alias", "A.foo.com, *.bar.com")]).aliases, ["a.foo.com", "*.bar.com"]);
    assert!(accepted(&[("from-to-www-redirect", "true")]).from_to_www);
    assert_eq!(
        policy(&[("upstream-vhost", "in.example.org:8080")]).upstream_vhost.as_deref(),
        Some("in.example.org:8080")
    );
    assert_eq!(policy(&[("x-forwarded-prefix", "/app")]).forwarded_prefix.as_deref(), Some("/app"));
    assert!(accepted(&[("use-regex", "true")]).use_regex);
    assert!(!policy(&[("enable-access-log", "false")]).access_log);
}

#[test]
fn sizes() {
    let of = |value| policy(&[("proxy-body-size", value)]).body_limit;
    let expected = [Some(100), Some(8 << 10), Some(8 << 20), Some(1 << 30), None];
    assert_eq!(["100", "8K", "8m", "1g", "0"].map(of), expected);
}

#[test]
fn limits() {
    let annotations = [
        ("limit-rps", "10"),
        ("limit-rpm", "300"),
        ("limit-connections", "4"),
        ("limit-burst-multiplier", "2"),
    ];
    let expected = Limits {
        requests_per_second: Some(10),
        requests_per_minute: Some(300),
        burst_multiplier: 2,
        connections: Some(4),
    };
    assert_eq!(policy(&annotations).limits, expected);
    assert_eq!(policy(&[("limit-rps", "0")]).limits, Limits::default());
}

#[test]
fn waits_and_retries() {
    let seconds = Duration::from_secs;
    let waits =
        [("proxy-connect-timeout", "1"), ("proxy-read-timeout", "3600"), ("proxy-send-timeout", "2s")];
    assert_eq!(
        policy(&waits).timeouts,
        Timeouts { connect: seconds(1), read: seconds(3600), send: seconds(2) }
    );
    let retries = [
        ("proxy-next-upstream", "error http_502  non_idempotent invalid_header"),
        ("proxy-next-upstream-tries", "0"),
        ("proxy-next-upstream-timeout", "10"),
    ];
    let on = [
        NextUpstream::Error,
        NextUpstream::InvalidHeader,
        NextUpstream::Status(502),
        NextUpstream::NonIdempotent,
    ];
    assert_eq!(policy(&retries).retry, Retry { on: on.into(), tries: 0, timeout: Some(seconds(10)) });
    assert!(policy(&[("proxy-next-upstream", "off")]).retry.on.is_empty());
}

#[test]
fn how_endpoints_are_spoken_to_and_chosen() {
    let protocol = |value| accepted(&[("backend-protocol", value)]).how.protocol.unwrap();
    let expected =
        [UpstreamProtocol::Http, UpstreamProtocol::Https, UpstreamProtocol::H2c, UpstreamProtocol::Grpcs];
    assert_eq!(["HTTP", "https", "GRPC", "GRPCS"].map(protocol), expected);
    let balance = |value| accepted(&[("load-balance", value)]).how.balance;
    assert_eq!(balance("round_robin"), Balance::RoundRobin);
    for value in ["least_request", "least_conn", "ewma"] {
        assert_eq!(balance(value), Balance::LeastRequest, "{value}");
    }
    let hash = |value| accepted(&[("upstream-hash-by", value), ("load-balance", "ewma")]).how.balance;
    for (value, key) in [
        ("$remote_addr", HashKey::ClientAddress),
        ("$binary_remote_addr", HashKey::ClientAddress),
        ("$request_uri", HashKey::Uri),
        ("$host", HashKey::Host),
        ("$http_X_User_Id", HashKey::Header("x-user-id".to_owned())),
        ("$cookie_session", HashKey::Cookie("session".to_owned())),
        ("$arg_user", HashKey::Query("user".to_owned())),
    ] {
        assert_eq!(hash(value), Balance::Hash(key), "{value}");
    }
    assert!(accepted(&[("service-upstream", "true")]).how.by_cluster_ip);
}

#[test]
fn error_pages() {
    let read = accepted(&[("default-backend", "errors"), ("custom-http-errors", "404, 500,503")]);
    assert_eq!(read.default_backend.as_deref(), Some("errors"));
    assert_eq!(read.policy.custom_errors, [404, 500, 503].into());
}

#[test]
fn session_affinity() {
    let default = CookieAffinity {
        name: "INGRESSCOOKIE".to_owned(),
        path: "/".to_owned(),
        domain: None,
        max_age: None,
        same_site: None,
        secure: None,
        change_on_failure: false,
    };
    assert_eq!(policy(&[("affinity", "cookie")]).affinity, Some(default));
    let annotations = [
        ("affinity", "cookie"),
        ("session-cookie-name", "route"),
        ("session-cookie-path", "/app"),
        ("session-cookie-domain", ".example.org"),
        ("session-cookie-max-age", "3600"),
        ("session-cookie-samesite", "Strict"),
        ("session-cookie-secure", "true"),
        ("session-cookie-change-on-failure", "true"),
    ];
    let expected = CookieAffinity {
        name: "route".to_owned(),
        path: "/app".to_owned(),
        domain: Some("example.org".to_owned()),
        max_age: Some(3600),
        same_site: Some(SameSite::Strict),
        secure: Some(true),
        change_on_failure: true,
    };
    assert_eq!(policy(&annotations).affinity, Some(expected));
    assert_eq!(policy(&[("session-cookie-name", "route")]).affinity, None);
}

#[test]
fn cross_origin_requests() {
    let default = policy(&[("enable-cors", "true")]).cors.unwrap();
    assert_eq!(
        (default.origins, default.credentials, default.max_age),
        (vec!["*".to_owned()], true, 1_728_000)
    );
    let annotations = [
        ("enable-cors", "true"),
        ("cors-allow-origin", "https://a.org, https://*.B.org:8443"),
        ("cors-allow-methods", "GET, PUT"),
        ("cors-allow-headers", "X-One,X-Two"),
        ("cors-expose-headers", "X-Three"),
        ("cors-allow-credentials", "false"),
        ("cors-max-age", "600"),
    ];
    let expected = Cors {
        origins: vec!["https://a.org".to_owned(), "https://*.b.org:8443".to_owned()],
        methods: "GET, PUT".to_owned(),
        headers: "X-One,X-Two".to_owned(),
        expose: Some("X-Three".to_owned()),
        credentials: false,
        max_age: 600,
    };
    assert_eq!(policy(&annotations).cors, Some(expected));
}

#[test]
fn origins_that_cannot_be_read_let_nobody_in() {
    let (read, findings) =
        read_all(&[("enable-cors", "true"), ("cors-allow-origin", "https://a.org, b.org")]);
    assert_eq!(findings[0].reason, "AnnotationInvalid");
    assert_eq!(read.policy.cors.as_ref().unwrap().origins, [""; 0]);
}

#[test]
fn a_value_that_cannot_be_read_is_told_and_the_default_stays() {
    for (name, value, what) in [
        ("ssl-redirect", "yes", "is neither true nor false"),
        ("use-regex", "on", "is neither true nor false"),
        ("proxy-body-size", "8mb", "is no size; write for example 512k, 8m or 1g, or 0 for no limit"),
        ("proxy-body-size", "99999999999g", "is no size"),
        ("proxy-read-timeout", "1h", "is no number of seconds"),
        ("proxy-connect-timeout", "0", "is no number of seconds"),
        ("limit-rps", "-1", "is no whole number from 0 to 4294967295"),
        ("permanent-redirect-code", "200", "is no whole number from 300 to 308"),
        ("permanent-redirect", "example.org", "is no URL"),
        ("temporal-redirect", "https://a/$uri", "has a `$`"),
        ("backend-protocol", "FCGI", "is none of HTTP, HTTPS, GRPC and GRPCS"),
        ("load-balance", "random", "is none of round_robin"),
        ("upstream-hash-by", "$request_uri$host", "is none of $remote_addr"),
        ("upstream-hash-by", "$http_a$host", "is none of $remote_addr"),
        ("upstream-vhost", "$service_name.svc", "has `$service_name.svc`, which is no host name"),
        ("x-forwarded-prefix", "/a\r\nx: y", "cannot be sent in a header"),
        ("app-root", "app", "is no path"),
        ("server-alias", "~^www\\d", "has `~^www\\d`, which is no host name"),
        ("default-backend", "a/b", "is no name of a Service"),
        ("custom-http-errors", "404,200", "is no whole number from 400 to 599"),
        ("proxy-next-upstream", "http_50", "is none of error, timeout"),
        ("affinity", "ip", "is none of cookie"),
    ] {
        let (reason, message) = finding(name, value);
        assert_eq!(reason, "AnnotationInvalid", "{name}");
        let begin =
            format!("annotation nginx.ingress.kubernetes.io/{name}: `{}` {what}", value.escape_debug());
        assert!(message.starts_with(&begin), "{message}");
        assert!(message.ends_with("; it is ignored"), "{message}");
    }
}

#[test]
fn annotations_for_buffers_and_the_like_are_accepted_with_one_warning() {
    let (read, findings) = read_all(&[("proxy-buffering", "off"), ("client-body-buffer-size", "1m")]);
    let reasons: Vec<_> = findings.iter().map(|finding| finding.reason).collect();
    assert_eq!(reasons, ["AnnotationIgnored", "AnnotationIgnored"]);
    assert_eq!(read.unavailable, None);
}

#[test]
fn a_long_value_is_told_shortened() {
    let (_, message) = finding("app-root", &"x".repeat(5000));
    assert!(message.len() < 300, "{message}");
}
