//! What annotations ask for.

use std::io::Write;

use super::{
    endpoint::{Endpoint, ok},
    site::{Site, ingress, possible, service},
};

fn site(annotations: &[(&str, &str)]) -> (Site, Endpoint) {
    Site::web(annotations, &["--trusted-proxies", "127.0.0.0/8"])
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
fn redirects_to_https_and_their_statuses_are_for_the_ingress_to_say() {
    if !possible() {
        return;
    }
    let (site, endpoint) = site(&[]);
    let service = service("web", &[endpoint.address]);
    let tls = "spec:\n  tls: [{hosts: [a.example], secretName: none}]\n  rules";
    let with_tls = |annotations: &[_]| {
        ingress("web", "a.example", annotations).replace("spec:\n  rules", tls) + &service
    };
    site.apply(&with_tls(&[]));
    assert_eq!(site.get("a.example", "/", &[]).status, 308);
    site.apply(&with_tls(&[("ssl-redirect", "false")]));
    assert_eq!(site.get("a.example", "/", &[]).status, 200);
    for (redirect, code, status) in [
        ("permanent-redirect", ("permanent-redirect-code", "308"), 308),
        ("temporal-redirect", ("temporal-redirect-code", "307"), 307),
    ] {
        let annotations = [(redirect, "https://new.example/"), code];
        site.apply(&(ingress("web", "a.example", &annotations) + &service));
        assert_eq!(site.get("a.example", "/", &[]).status, status, "{redirect}");
    }
}

#[test]
fn an_ingress_may_keep_off_plain_http_and_choose_its_class() {
    if !possible() {
        return;
    }
    let (site, endpoint) = site(&[]);
    let with = |key, value| {
        let annotated = format!("namespace: default\n  annotations: {{{key}: {value:?}}}\nspec:");
        ingress("web", "a.example", &[]).replace("namespace: default\nspec:", &annotated)
            + &service("web", &[endpoint.address])
    };
    for (key, value, status) in [
        ("kubernetes.io/ingress.allow-http", "false", 404),
        ("kubernetes.io/ingress.allow-http", "true", 200),
        ("kubernetes.io/ingress.class", "another", 404),
        ("kubernetes.io/ingress.class", "sluice", 200),
    ] {
        site.apply(&with(key, value));
        assert_eq!(site.get("a.example", "/", &[]).status, status, "{key}: {value}");
    }
}

#[test]
fn an_alias_is_served_as_the_host_itself_unless_a_rule_names_it() {
    if !possible() {
        return;
    }
    let namespace = Site::namespace();
    let [web, other] = ["10.1.0.1:8000", "10.1.0.2:8000"].map(|name| Endpoint::named(&namespace, name));
    let text = ingress("web", "a.example", &[("server-alias", "b.example, c.example")])
        + &ingress("other", "c.example", &[])
        + &service("web", &[web.address])
        + &service("other", &[other.address]);
    let site = Site::start_in(namespace, &text, &[]);
    for (host, endpoint) in [("a.example", &web), ("b.example", &web), ("c.example", &other)] {
        assert_eq!(site.get(host, "/", &[]).text(), endpoint.address.to_string(), "{host}");
    }
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
        &(ingress("web", "a.example", &[("whitelist-source-range", "192.0.2.0/24")])
            + &service("web", &[endpoint.address])),
    );
    assert_eq!(site.get("a.example", "/", &[]).status, 403);
    assert_eq!(site.get("a.example", "/", &["X-Forwarded-For: 192.0.2.9"]).status, 200);
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
fn browsers_are_told_what_the_ingress_says_of_other_origins() {
    if !possible() {
        return;
    }
    let (site, _endpoint) = site(&[
        ("enable-cors", "true"),
        ("cors-allow-origin", "https://page.example"),
        ("cors-allow-methods", "GET, PURGE"),
        ("cors-allow-headers", "X-One,X-Two"),
        ("cors-expose-headers", "X-Three"),
        ("cors-allow-credentials", "false"),
    ]);
    let preflight = site.ask(
        "OPTIONS / HTTP/1.1\r\nHost: a.example\r\nOrigin: https://page.example\r\nAccess-Control-Request-Method: PURGE\r\n\r\n",
    );
    assert_eq!(preflight.field("access-control-allow-methods"), Some("GET, PURGE"));
    assert_eq!(preflight.field("access-control-allow-headers"), Some("X-One,X-Two"));
    let response = site.get("a.example", "/", &["Origin: https://page.example"]);
    assert_eq!(response.field("access-control-expose-headers"), Some("X-Three"));
    assert_eq!(response.field("access-control-allow-credentials"), None);
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
