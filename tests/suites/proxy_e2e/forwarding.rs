//! What passes through: targets, fields, bodies, trailers.

use std::io::Write;

use super::{
    endpoint::{Endpoint, ok},
    site::{Site, ingress, possible, service},
};

#[test]
fn a_request_reaches_the_endpoint_and_its_answer_the_client() {
    if !possible() {
        return;
    }
    let (site, endpoint) = Site::web(&[], &[]);
    let response = site.get("a.example", "/x?y=1", &["X-Own: kept"]);
    assert_eq!((response.status, response.text().as_str()), (200, "10.1.0.1:8000"));
    assert_eq!(response.field("server"), Some("sluice"));
    assert!(response.field("date").is_some());
    let seen = endpoint.only();
    assert_eq!(seen.line(), "GET /x?y=1 HTTP/1.1");
    assert_eq!((seen.fields("host"), seen.fields("x-own")), (vec!["a.example"], vec!["kept"]));
    assert_eq!(site.get("b.example", "/", &[]).status, 404);
}

#[test]
fn a_connection_to_an_endpoint_is_used_again_and_survives_no_idle_close() {
    if !possible() {
        return;
    }
    let (site, endpoint) = Site::web(&[], &["--threads", "1"]);
    let mut client = site.client();
    for _ in 0..5 {
        client.send("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n");
        assert_eq!(client.response().status, 200);
    }
    assert_eq!((endpoint.seen().len(), endpoint.connections()), (5, 1));
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    if !possible() {
        return;
    }
    let (site, endpoint) = Site::web(&[], &[]);
    let mut client = site.client();
    client.send("GET /1 HTTP/1.1\r\nHost: a.example\r\n\r\nGET /2 HTTP/1.1\r\nHost: a.example\r\n\r\n");
    assert_eq!((client.response().status, client.response().status), (200, 200));
    let lines: Vec<_> = endpoint.seen().iter().map(|seen| seen.line().to_owned()).collect();
    assert_eq!(lines, ["GET /1 HTTP/1.1", "GET /2 HTTP/1.1"]);
}

#[test]
fn what_a_client_says_about_its_way_is_replaced() {
    if !possible() {
        return;
    }
    let (site, endpoint) = Site::web(&[], &[]);
    let forged = [
        "X-Forwarded-For: 6.6.6.6",
        "X-Forwarded-Host: evil",
        "X-Forwarded-Proto: https",
        "X-Real-IP: 6.6.6.6",
        "X_Forwarded_For: 6.6.6.6",
        "Forwarded: for=6.6.6.6",
        "Connection: x-forwarded-for, x-hop",
        "X-Hop: here",
        "Proxy: evil",
        "Keep-Alive: 5",
    ];
    site.get("a.example", "/", &forged);
    let seen = endpoint.only();
    assert_eq!(seen.fields("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(seen.fields("x-real-ip"), ["127.0.0.1"]);
    assert_eq!(seen.fields("x-forwarded-host"), ["a.example"]);
    assert_eq!(seen.fields("x-forwarded-proto"), ["http"]);
    assert_eq!(seen.fields("x-forwarded-port"), ["8080"]);
    for gone in ["x_forwarded_for", "forwarded", "x-hop", "proxy", "keep-alive", "connection"] {
        assert!(seen.fields(gone).is_empty(), "{gone}: {seen:?}");
    }
}

#[test]
fn a_trusted_proxy_is_believed() {
    if !possible() {
        return;
    }
    let (site, endpoint) = Site::web(&[], &["--trusted-proxies", "127.0.0.0/8"]);
    let fields =
        ["X-Forwarded-For: 6.6.6.6, 203.0.113.5", "X-Forwarded-Proto: https", "X-Forwarded-Host: front"];
    site.get("a.example", "/", &fields);
    let seen = endpoint.only();
    assert_eq!(seen.fields("x-forwarded-for"), ["6.6.6.6, 203.0.113.5, 127.0.0.1"]);
    assert_eq!(seen.fields("x-real-ip"), ["203.0.113.5"]);
    assert_eq!(seen.fields("x-forwarded-proto"), ["https"]);
    assert_eq!(seen.fields("x-forwarded-host"), ["front"]);
}

#[test]
fn bodies_of_both_framings_arrive_whole_and_with_their_trailers() {
    if !possible() {
        return;
    }
    let (site, endpoint) = Site::web(&[], &[]);
    let known = site.ask("POST /known HTTP/1.1\r\nHost: a.example\r\nContent-Length: 5\r\n\r\nhello");
    let chunked = site.ask(
        "POST /chunked HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n\
         5\r\nhello\r\n1\r\n!\r\n0\r\nX-Sum: 7\r\n\r\n",
    );
    let get = site.ask(
        "GET /get HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
    );
    assert_eq!((known.status, chunked.status, get.status), (200, 200, 200));
    let seen = endpoint.seen();
    assert_eq!((&seen[0].body[..], seen[0].fields("content-length")), (&b"hello"[..], vec!["5"]));
    assert_eq!((&seen[1].body[..], seen[1].fields("x-sum")), (&b"hello!"[..], vec!["7"]));
    assert_eq!(&seen[2].body[..], b"hi");
}

#[test]
fn a_client_that_waits_for_100_continue_gets_it() {
    if !possible() {
        return;
    }
    let (site, endpoint) = Site::web(&[], &[]);
    let mut client = site.client();
    client.send("POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(client.exactly(25).unwrap(), b"HTTP/1.1 100 Continue\r\n\r\n");
    client.send("hi");
    assert_eq!(client.response().status, 200);
    assert_eq!(endpoint.only().body, b"hi");
}

#[test]
fn a_response_streams_before_it_is_complete() {
    if !possible() {
        return;
    }
    let namespace = Site::namespace();
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let endpoint = Endpoint::start(&namespace, "10.1.0.1:8000", move |_, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n");
        // The rest only once the client has seen the beginning.
        wait.lock().unwrap().recv().unwrap();
        stream.write_all(b"4\r\nlast\r\n0\r\n\r\n").is_ok()
    });
    let text = ingress("web", "a.example", &[]) + &service("web", &[endpoint.address]);
    let site = Site::start_in(namespace, &text, &[]);
    let mut client = site.client();
    client.send("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n");
    let mut seen = Vec::new();
    while !seen.ends_with(b"first\r\n") {
        seen.extend(client.exactly(1).unwrap());
    }
    go.send(()).unwrap();
    assert_eq!(client.exactly(14).unwrap(), b"4\r\nlast\r\n0\r\n\r\n");
}

#[test]
fn head_and_bodiless_statuses_keep_the_connection_in_step() {
    if !possible() {
        return;
    }
    let namespace = Site::namespace();
    let endpoint = Endpoint::start(&namespace, "10.1.0.1:8000", |seen, stream| match seen.line() {
        line if line.starts_with("HEAD") => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n").is_ok()
        }
        line if line.contains("/304") => {
            stream.write_all(b"HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n").is_ok()
        }
        _ => ok(stream, "after"),
    });
    let text = ingress("web", "a.example", &[]) + &service("web", &[endpoint.address]);
    let site = Site::start_in(namespace, &text, &[]);
    let mut client = site.client();
    client.send("HEAD / HTTP/1.1\r\nHost: a.example\r\n\r\n");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.extend(client.exactly(1).unwrap());
    }
    assert!(String::from_utf8_lossy(&head).contains("content-length: 1000"));
    client.send("GET /304 HTTP/1.1\r\nHost: a.example\r\n\r\n");
    assert_eq!(client.response().status, 304);
    client.send("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n");
    assert_eq!(client.response().text(), "after");
}

#[test]
fn an_http_1_0_client_is_served_and_its_connection_closed() {
    if !possible() {
        return;
    }
    let (site, endpoint) = Site::web(&[], &[]);
    let mut client = site.client();
    client.send("GET / HTTP/1.0\r\nHost: a.example\r\n\r\n");
    assert_eq!(client.response().status, 200);
    assert!(client.is_closed());
    assert_eq!(endpoint.only().line(), "GET / HTTP/1.1");
}

#[test]
fn where_an_http_1_0_client_names_no_host_the_endpoint_is_told_so() {
    if !possible() {
        return;
    }
    let namespace = Site::namespace();
    let endpoint = Endpoint::named(&namespace, "10.1.0.1:8000");
    let any = ingress("web", "any", &[]).replace("- host: any\n    http:", "- http:");
    let site = Site::start_in(namespace, &(any + &service("web", &[endpoint.address])), &[]);
    assert_eq!(site.ask("GET / HTTP/1.0\r\n\r\n").status, 200);
    let seen = endpoint.only();
    assert_eq!((seen.line(), seen.fields("host")), ("GET / HTTP/1.1", vec![""]));
}
