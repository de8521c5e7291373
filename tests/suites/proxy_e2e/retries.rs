//! When another endpoint is asked, and when not.

use std::{
    io::Write,
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering},
};

use super::{
    endpoint::{Endpoint, ok},
    site::{Site, ingress, possible, service},
};

/// Nobody listens there.
const DEAD: &str = "10.1.0.99:8000";

fn dead() -> SocketAddr {
    DEAD.parse().unwrap()
}

#[test]
fn a_refused_connection_costs_no_request() {
    if !possible() {
        return;
    }
    let namespace = Site::namespace();
    let endpoint = Endpoint::named(&namespace, "10.1.0.1:8000");
    let text = ingress("web", "a.example", &[]) + &service("web", &[dead(), endpoint.address]);
    let site = Site::start_in(namespace, &text, &[]);
    for _ in 0..10 {
        assert_eq!(site.get("a.example", "/", &[]).status, 200);
        assert_eq!(site.ask("POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 2\r\n\r\nhi").status, 200);
    }
    assert!(
        endpoint.seen().iter().filter(|seen| seen.line().starts_with("POST")).all(|seen| seen.body == b"hi")
    );
    assert!(
        site.metric("sluice_ingress_upstream_errors_total{ingress=\"default/web\",error=\"connect\"}") > 0.0
    );
}

#[test]
fn without_an_endpoint_left_the_client_is_told_which_way_it_failed() {
    if !possible() {
        return;
    }
    let text = ingress("dead", "a.example", &[])
        + &ingress("none", "b.example", &[])
        + &service("dead", &[dead()])
        + &service("none", &[]);
    let site = Site::start(&text, &[]);
    assert_eq!(site.get("a.example", "/", &[]).status, 502);
    assert_eq!(site.get("b.example", "/", &[]).status, 503);
}

#[test]
fn a_connection_that_died_of_idleness_is_replaced() {
    if !possible() {
        return;
    }
    let namespace = Site::namespace();
    let dies = AtomicBool::new(false);
    // Reads the second request of a connection, and closes it without a word.
    let endpoint = Endpoint::start(&namespace, "10.1.0.1:8000", move |seen, stream| {
        if seen.line().contains("/kill") || (dies.swap(false, Ordering::SeqCst)) {
            return false;
        }
        if seen.line().contains("/arm") {
            dies.store(true, Ordering::SeqCst);
        }
        ok(stream, "here")
    });
    let text = ingress("web", "a.example", &[]) + &service("web", &[endpoint.address]);
    let site = Site::start_in(namespace, &text, &["--threads", "1"]);
    assert_eq!(site.get("a.example", "/arm", &[]).status, 200);
    assert_eq!(site.get("a.example", "/next", &[]).status, 200);
    let lines: Vec<_> =
        endpoint.seen().iter().map(|seen| (seen.connection, seen.line().to_owned())).collect();
    assert_eq!(
        lines,
        [
            (0, "GET /arm HTTP/1.1".to_owned()),
            (0, "GET /next HTTP/1.1".to_owned()),
            (1, "GET /next HTTP/1.1".to_owned())
        ]
    );
    // What is not idempotent is not sent twice.
    assert_eq!(site.get("a.example", "/arm", &[]).status, 200);
    let post = site.ask("POST /once HTTP/1.1\r\nHost: a.example\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(post.status, 502);
    assert_eq!(endpoint.seen().iter().filter(|seen| seen.line().contains("/once")).count(), 1);
}

#[test]
fn statuses_are_retried_where_the_policy_says_so_and_never_for_a_post() {
    if !possible() {
        return;
    }
    let namespace = Site::namespace();
    let bad = Endpoint::start(&namespace, "10.1.0.1:8000", |_, stream| {
        stream.write_all(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 3\r\n\r\nbad").is_ok()
    });
    let good = Endpoint::named(&namespace, "10.1.0.2:8000");
    let endpoints = service("web", &[bad.address, good.address]);
    let with = |value| ingress("web", "a.example", &[("proxy-next-upstream", value)]) + &endpoints;
    let site = Site::start_in(namespace, &with("error timeout http_503"), &["--threads", "1"]);
    let statuses: Vec<_> = (0..4).map(|_| site.get("a.example", "/", &[]).status).collect();
    assert_eq!(statuses, [200; 4]);
    let posts: Vec<_> = (0..4)
        .map(|_| site.ask("POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 1\r\n\r\nx").status)
        .collect();
    assert!(posts.contains(&503), "{posts:?}");
    site.apply(&with("error timeout"));
    let statuses: Vec<_> = (0..4).map(|_| site.get("a.example", "/", &[]).status).collect();
    assert!(statuses.contains(&503), "{statuses:?}");
}

#[test]
fn no_more_endpoints_are_asked_than_the_policy_allows() {
    if !possible() {
        return;
    }
    let namespace = Site::namespace();
    let endpoint = Endpoint::named(&namespace, "10.1.0.1:8000");
    let endpoints = service("web", &[dead(), endpoint.address]);
    let with = |tries| ingress("web", "a.example", &[("proxy-next-upstream-tries", tries)]) + &endpoints;
    let site = Site::start_in(namespace, &with("1"), &["--threads", "1"]);
    let statuses = || -> Vec<_> { (0..4).map(|_| site.get("a.example", "/", &[]).status).collect() };
    let once = statuses();
    assert!(once.contains(&502) && once.contains(&200), "{once:?}");
    site.apply(&with("2"));
    assert_eq!(statuses(), [200; 4]);
}

#[test]
fn no_endpoint_is_asked_once_the_time_for_all_is_over() {
    if !possible() {
        return;
    }
    let namespace = Site::namespace();
    let silent = Endpoint::start(&namespace, "10.1.0.1:8000", |_, stream| {
        // Until the proxy gives up.
        let _ = std::io::Read::read(stream, &mut [0]);
        false
    });
    let endpoint = Endpoint::named(&namespace, "10.1.0.2:8000");
    let endpoints = service("web", &[silent.address, endpoint.address]);
    let with = |limit| {
        let annotations = [("proxy-read-timeout", "1"), ("proxy-next-upstream-timeout", limit)];
        ingress("web", "a.example", &annotations) + &endpoints
    };
    let site = Site::start_in(namespace, &with("1"), &["--threads", "1"]);
    let statuses = || {
        let mut both = [(); 2].map(|()| site.get("a.example", "/", &[]).status);
        both.sort_unstable();
        both
    };
    assert_eq!(statuses(), [200, 504]);
    site.apply(&with("0"));
    assert_eq!(statuses(), [200, 200]);
}

#[test]
fn an_answer_that_is_no_http_is_a_bad_gateway() {
    if !possible() {
        return;
    }
    let namespace = Site::namespace();
    let endpoint = Endpoint::start(&namespace, "10.1.0.1:8000", |_, stream| {
        let _ = stream.write_all(b"SSH-2.0-OpenSSH\r\n\r\n");
        false
    });
    let text = ingress("web", "a.example", &[]) + &service("web", &[endpoint.address]);
    let site = Site::start_in(namespace, &text, &[]);
    assert_eq!(site.get("a.example", "/", &[]).status, 502);
    assert!(
        site.metric("sluice_ingress_upstream_errors_total{ingress=\"default/web\",error=\"invalid\"}") > 0.0
    );
}
