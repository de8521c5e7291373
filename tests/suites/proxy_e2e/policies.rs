//! What annotations ask for.

use std::io::Write;

use super::{
    endpoint::{Endpoint, ok},
    site::{Site, ingress, possible, service},
};

fn site(annotations: &[(&str, &str)]) -> (Site, Endpoint) {
    let namespace = Site::namespace();
    let endpoint = Endpoint::named(&namespace, "10.1.0.1:8000");
    let text = ingress("web", "a.example", annotations) + &service("web", &[endpoint.address]);
    (Site::start_in(namespace, &text, &["--trusted-proxies", "127.0.0.0/8"]), endpoint)
}

#[test]
fn http_is_redirected_to_https_but_for_acme() {
    if !possible() {
        return;
    }
    let (site, endpoint) = site(&[("force-ssl-redirect", "true")]);
    let response = site.get("A.Example:8080", "/x/../y?z=1", &[]);
    assert_eq!((response.status, response.field("location")), (308, Some("https://a.example/y?z=1")));
    assert_eq!(site.get("a.example", "/.well-known/acme-challenge/token", &[]).status, 200);
    // TLS that has ended before a trusted proxy.
    assert_eq!(site.get("a.example", "/", &["X-Forwarded-Proto: https"]).status, 200);
    assert_eq!(endpoint.seen().len(), 2);
}

#[test]
fn redirects_go_where_they_say() {
    if !possible() {
        return;
    }
    let (site, endpoint) = site(&[("permanent-redirect", "https://new.example$request_uri")]);
    let response = site.get("a.example", "/x?y", &[]);
    assert_eq!((response.status, response.field("location")), (301, Some("https://new.example/x?y")));
    let with =
        |key, value| ingress("web", "a.example", &[(key, value)]) + &service("web", &[endpoint.address]);
    site.apply(&with("temporal-redirect", "https://new.example/"));
    let response = site.get("a.example", "/x", &[]);
    assert_eq!((response.status, response.field("location")), (302, Some("https://new.example/")));
    site.apply(&with("app-root", "/home"));
    let response = site.get("a.example", "/", &[]);
    assert_eq!((response.status, response.field("location")), (302, Some("/home")));
    assert_eq!(site.get("a.example", "/home", &[]).status, 200);
    site.apply(&with("from-to-www-redirect", "true"));
    let response = site.get("www.a.example", "/x?y", &[]);
    assert_eq!((response.status, response.field("location")), (308, Some("http://a.example/x?y")));
    assert_eq!(endpoint.seen().len(), 1);
}

#[test]
fn access_goes_by_the_clients_address() {
    if !possible() {
        return;
    }
    let (site, endpoint) = site(&[("allowlist-source-range", "192.0.2.0/24,127.0.0.1/32")]);
    assert_eq!(site.get("a.example", "/", &[]).status, 200);
    assert_eq!(site.get("a.example", "/", &["X-Forwarded-For: 192.0.2.9"]).status, 200);
    assert_eq!(site.get("a.example", "/", &["X-Forwarded-For: 198.51.100.1"]).status, 403);
    site.apply(
        &(ingress("web", "a.example", &[("denylist-source-range", "198.51.100.0/24")])
            + &service("web", &[endpoint.address])),
    );
    assert_eq!(site.get("a.example", "/", &["X-Forwarded-For: 198.51.100.1"]).status, 403);
    assert_eq!(site.get("a.example", "/", &["X-Forwarded-For: 192.0.2.9"]).status, 200);
}

#[test]
fn an_annotation_that_restricts_and_is_not_known_closes_the_ingress_and_no_other() {
    if !possible() {
        return;
    }
    let namespace = Site::namespace();
    let endpoint = Endpoint::named(&namespace, "10.1.0.1:8000");
    let text = ingress("web", "a.example", &[("auth-url", "https://login")])
        + &ingress("other", "b.example", &[])
        + &service("web", &[endpoint.address])
        + &service("other", &[endpoint.address]);
    let site = Site::start_in(namespace, &text, &[]);
    assert_eq!(site.get("a.example", "/", &[]).status, 503);
    assert_eq!(site.get("b.example", "/", &[]).status, 200);
    assert!(site.log().contains("auth-url"), "{}", site.log());
}

#[test]
fn paths_hosts_and_prefixes_are_rewritten() {
    if !possible() {
        return;
    }
    let (site, endpoint) = site(&[
        ("rewrite-target", "/new/$1"),
        ("use-regex", "true"),
        ("upstream-vhost", "inner.example"),
        ("x-forwarded-prefix", "/old"),
    ]);
    let text = ingress(
        "web",
        "a.example",
        &[
            ("rewrite-target", "/new/$1"),
            ("use-regex", "true"),
            ("upstream-vhost", "inner.example"),
            ("x-forwarded-prefix", "/old"),
        ],
    )
    .replace(
        "path: /\n        pathType: Prefix",
        "path: /old/(.*)\n        pathType: ImplementationSpecific",
    ) + &service("web", &[endpoint.address]);
    site.apply(&text);
    assert_eq!(site.get("a.example", "/old/x/y?z", &[]).status, 200);
    let seen = endpoint.only();
    assert_eq!((seen.line(), seen.fields("host")), ("GET /new/x/y?z HTTP/1.1", vec!["inner.example"]));
    assert_eq!(seen.fields("x-forwarded-prefix"), ["/old"]);
    assert_eq!(seen.fields("x-forwarded-host"), ["a.example"]);
}

#[test]
fn browsers_are_answered_about_other_origins() {
    if !possible() {
        return;
    }
    let (site, endpoint) = site(&[
        ("enable-cors", "true"),
        ("cors-allow-origin", "https://*.page.example, https://page.example"),
        ("cors-max-age", "60"),
    ]);
    let preflight = |origin: &str| {
        site.ask(&format!(
            "OPTIONS / HTTP/1.1\r\nHost: a.example\r\nOrigin: {origin}\r\nAccess-Control-Request-Method: PUT\r\n\r\n"
        ))
    };
    let response = preflight("https://b.page.example");
    assert_eq!(response.status, 204);
    assert_eq!(response.field("access-control-allow-origin"), Some("https://b.page.example"));
    assert_eq!(response.field("access-control-max-age"), Some("60"));
    assert_eq!(preflight("https://evil.example").field("access-control-allow-origin"), None);
    assert_eq!(endpoint.seen().len(), 0);
    let response = site.get("a.example", "/", &["Origin: https://page.example"]);
    assert_eq!(response.field("access-control-allow-origin"), Some("https://page.example"));
    assert_eq!(response.field("access-control-allow-credentials"), Some("true"));
    assert_eq!(site.get("a.example", "/", &[]).field("access-control-allow-origin"), None);
}

#[test]
fn a_cookie_keeps_a_client_at_its_endpoint() {
    if !possible() {
        return;
    }
    let namespace = Site::namespace();
    let endpoints: Vec<_> =
        (1..=3).map(|n| Endpoint::named(&namespace, &format!("10.1.0.{n}:8000"))).collect();
    let addresses: Vec<_> = endpoints.iter().map(|endpoint| endpoint.address).collect();
    let annotations =
        [("affinity", "cookie"), ("session-cookie-name", "stay"), ("session-cookie-max-age", "60")];
    let text = ingress("web", "a.example", &annotations) + &service("web", &addresses);
    let site = Site::start_in(namespace, &text, &[]);
    let first = site.get("a.example", "/", &[]);
    let set = first.field("set-cookie").unwrap().to_owned();
    assert!(set.starts_with("stay=") && set.contains("; Max-Age=60") && set.contains("; HttpOnly"), "{set}");
    assert!(!set.contains("10.1.0."), "{set}");
    let cookie = format!("Cookie: a=b; {}", set.split(';').next().unwrap());
    for _ in 0..8 {
        let again = site.get("a.example", "/", &[&cookie]);
        assert_eq!(again.text(), first.text());
        assert_eq!(again.field("set-cookie"), None);
    }
    // Its endpoint leaves: the client gets another, and is told.
    let left: Vec<_> =
        addresses.iter().copied().filter(|address| address.to_string() != first.text()).collect();
    site.apply(&(ingress("web", "a.example", &annotations) + &service("web", &left)));
    let moved = site.get("a.example", "/", &[&cookie]);
    assert_ne!(moved.text(), first.text());
    assert!(moved.field("set-cookie").is_some());
}

#[test]
fn the_default_backend_answers_for_errors_and_missing_endpoints() {
    if !possible() {
        return;
    }
    let namespace = Site::namespace();
    let web = Endpoint::start(&namespace, "10.1.0.1:8000", |seen, stream| match seen.line() {
        line if line.contains("/fail") => {
            stream.write_all(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 5\r\n\r\ninner").is_ok()
        }
        _ => ok(stream, "fine"),
    });
    let errors = Endpoint::named(&namespace, "10.1.0.2:8000");
    let annotations = [("custom-http-errors", "502,503"), ("default-backend", "errors")];
    let text = ingress("web", "a.example", &annotations)
        + &ingress("none", "b.example", &annotations)
        + &service("web", &[web.address])
        + &service("none", &[])
        + &service("errors", &[errors.address]);
    let site = Site::start_in(namespace, &text, &[]);
    assert_eq!(site.get("a.example", "/", &[]).text(), "fine");
    let failed = site.get("a.example", "/fail?x", &["Accept: text/html"]);
    assert_eq!((failed.status, failed.text().as_str()), (502, "10.1.0.2:8000"));
    let seen = errors.only();
    assert_eq!(seen.fields("x-code"), ["502"]);
    assert_eq!(seen.fields("x-original-uri"), ["/fail?x"]);
    assert_eq!((seen.fields("x-format"), seen.fields("x-ingress-name")), (vec!["text/html"], vec!["web"]));
    assert_eq!(site.get("b.example", "/", &[]).text(), "10.1.0.2:8000");
}
