//! What a bare hyper proxy lets through, and this one must not: the table of differences from nginx and haproxy.

use super::{
    endpoint::Endpoint,
    site::{Site, ingress, possible, service},
};

/// Each request is refused with its status, nothing of it reaches the endpoint, and the connection ends.
fn refused(cases: &[(u16, &str)]) {
    if !possible() {
        return;
    }
    let (site, endpoint) = Site::web(&[], &[]);
    for (status, request) in cases {
        let mut client = site.client();
        client.send(request);
        assert_eq!(client.response().status, *status, "{request:?}");
        assert!(client.is_closed(), "{request:?}");
    }
    assert_eq!(endpoint.seen().len(), 0, "{:#?}", endpoint.seen());
}

#[test]
fn a_request_must_name_exactly_one_host() {
    refused(&[
        (400, "GET / HTTP/1.1\r\nHost: a.example\r\nHost: a.example\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\nHost: a.example\r\nHost: b.example\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\nHost:\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\nHost: a.example/x\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\nHost: user@a.example\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\nHost: a.example:80:80\r\n\r\n"),
    ]);
}

#[test]
fn a_request_has_one_length() {
    refused(&[
        (
            400,
            "POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ),
        (400, "POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
        (400, "POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: +3\r\n\r\nabc"),
        (400, "POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: gzip\r\n\r\nabc"),
        (501, "POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
        (400, "POST / HTTP/1.0\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ]);
}

#[test]
fn malformed_fields_are_refused() {
    refused(&[
        (400, "GET / HTTP/1.1\r\nHost: a.example\r\nX : y\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\nHost: a.example\r\nX: a\r\n b\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\nHost: a.example\r\nX: a\0b\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\nHost: a.example\r\nX: a\rb\r\n\r\n"),
    ]);
}

#[test]
fn targets_that_are_no_path_are_refused() {
    refused(&[
        (405, "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example\r\n\r\n"),
        (405, "TRACE / HTTP/1.1\r\nHost: a.example\r\n\r\n"),
        (400, "OPTIONS * HTTP/1.1\r\nHost: a.example\r\n\r\n"),
        (400, "GET /../etc HTTP/1.1\r\nHost: a.example\r\n\r\n"),
        (400, "GET /%2e%2e/etc HTTP/1.1\r\nHost: a.example\r\n\r\n"),
        (400, "GET /a%00b HTTP/1.1\r\nHost: a.example\r\n\r\n"),
        (400, "GET /a%zz HTTP/1.1\r\nHost: a.example\r\n\r\n"),
    ]);
}

#[test]
fn heads_that_are_too_large_are_refused() {
    let target = format!("GET /{} HTTP/1.1\r\nHost: a.example\r\n\r\n", "a".repeat(9_000));
    let field = format!("GET / HTTP/1.1\r\nHost: a.example\r\nX: {}\r\n\r\n", "a".repeat(40_000));
    let many: String = (0..150).map(|n| format!("X-{n}: y\r\n")).collect();
    let many = format!("GET / HTTP/1.1\r\nHost: a.example\r\n{many}\r\n");
    refused(&[(414, &target), (431, &field), (431, &many)]);
}

#[test]
fn both_lengths_are_read_as_chunked_and_end_the_connection() {
    if !possible() {
        return;
    }
    let (site, endpoint) = Site::web(&[], &[]);
    let mut client = site.client();
    client.send(
        "POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n\
         0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a.example\r\n\r\n",
    );
    assert_eq!(client.response().status, 200);
    assert!(client.is_closed());
    let seen = endpoint.only();
    assert!(seen.fields("content-length").is_empty(), "{seen:?}");
}

#[test]
fn a_body_that_breaks_off_is_the_clients_fault() {
    if !possible() {
        return;
    }
    let (site, _endpoint) = Site::web(&[], &[]);
    for body in ["zz\r\nabc\r\n0\r\n\r\n", "3\nabc\r\n0\r\n\r\n", "-1\r\n", "3\r\nabcd\r\n0\r\n\r\n"] {
        let mut client = site.client();
        client.send("POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n");
        client.send(body);
        assert_eq!(client.response().status, 400, "{body:?}");
        assert!(client.is_closed(), "{body:?}");
    }
}

#[test]
fn an_absolute_target_counts_and_not_the_host_field() {
    if !possible() {
        return;
    }
    let (site, endpoint) = Site::web(&[], &[]);
    assert_eq!(site.ask("GET http://b.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n").status, 404);
    assert_eq!(site.ask("GET http://a.example/x HTTP/1.1\r\nHost: b.example\r\n\r\n").status, 200);
    let seen = endpoint.only();
    assert_eq!((seen.line(), seen.fields("host")), ("GET /x HTTP/1.1", vec!["a.example"]));
}

#[test]
fn a_path_is_sent_on_in_the_form_that_was_routed() {
    if !possible() {
        return;
    }
    let namespace = Site::namespace();
    let open = Endpoint::named(&namespace, "10.1.0.1:8000");
    let admin = Endpoint::named(&namespace, "10.1.0.2:8000");
    let guarded = ingress("admin", "a.example", &[("allowlist-source-range", "192.0.2.0/24")])
        .replace("path: /\n", "path: /admin\n");
    let text = ingress("web", "a.example", &[])
        + &guarded
        + &service("web", &[open.address])
        + &service("admin", &[admin.address]);
    let site = Site::start_in(namespace, &text, &[]);
    for path in ["/admin", "/x/../admin", "/x/%2e%2E/admin", "//admin", "/%61dmin", "/./admin/", "/admin?x#y"]
    {
        assert_eq!(site.get("a.example", path, &[]).status, 403, "{path}");
    }
    for (path, sent) in [
        ("/a/../b", "/b"),
        ("/a//b/", "/a/b/"),
        ("/a%2fb", "/a%2Fb"),
        ("/a?x=/../y", "/a?x=/../y"),
        ("/a#b", "/a"),
    ] {
        assert_eq!(site.get("a.example", path, &[]).status, 200, "{path}");
        assert_eq!(open.seen().last().unwrap().line(), format!("GET {sent} HTTP/1.1"), "{path}");
    }
    assert_eq!(admin.seen().len(), 0);
}

#[test]
fn an_upgrade_that_is_no_websocket_is_not_passed_on() {
    if !possible() {
        return;
    }
    let (site, endpoint) = Site::web(&[], &[]);
    for request in [
        "GET /1 HTTP/1.1\r\nHost: a.example\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
        "POST /2 HTTP/1.1\r\nHost: a.example\r\nConnection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n\r\nx",
        "GET /3 HTTP/1.1\r\nHost: a.example\r\nConnection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n\r\nx",
        "GET /4 HTTP/1.1\r\nHost: a.example\r\nUpgrade: websocket\r\n\r\n",
    ] {
        assert_eq!(site.ask(request).status, 200, "{request:?}");
    }
    for seen in endpoint.seen() {
        assert!(seen.fields("upgrade").is_empty() && seen.fields("connection").is_empty(), "{seen:?}");
    }
}
