//! How much one client may ask: bodies, rates, requests at a time.

use std::io::Write;

use lb_tests::wait;

use super::{
    endpoint::{Endpoint, ok},
    site::{Site, ingress, possible, service},
};

#[test]
fn a_body_over_the_limit_is_answered_413_however_it_is_framed() {
    if !possible() {
        return;
    }
    let (site, endpoint) = Site::web(&[("proxy-body-size", "4")], &[]);
    assert_eq!(site.ask("POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 4\r\n\r\nfour").status, 200);
    let mut client = site.client();
    client.send("POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 5\r\n\r\n");
    assert_eq!(client.response().status, 413);
    assert!(client.is_closed());
    assert_eq!(endpoint.seen().len(), 1);
    let mut client = site.client();
    client.send("POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n");
    assert_eq!(client.response().status, 413);
    assert_eq!(endpoint.seen().len(), 1);
}

#[test]
fn a_client_that_asks_too_often_is_answered_503() {
    if !possible() {
        return;
    }
    let (site, endpoint) = Site::web(&[("limit-rpm", "2"), ("limit-burst-multiplier", "2")], &[]);
    let statuses: Vec<_> = (0..6).map(|_| site.get("a.example", "/", &[]).status).collect();
    assert_eq!(statuses, [200, 200, 200, 200, 503, 503]);
    assert_eq!(endpoint.seen().len(), 4);
    // Apart from the 503 that are errors.
    wait::until_true("they are counted", || {
        site.metric(r#"sluice_ingress_limited_requests_total{ingress="default/web"}"#) == 2.0
    })
    .unwrap();
    // Another configuration gives no new allowance.
    site.apply(
        &(ingress("web", "a.example", &[("limit-rpm", "2"), ("limit-burst-multiplier", "2")])
            + &ingress("other", "b.example", &[])
            + &service("web", &[endpoint.address])),
    );
    assert_eq!(site.get("a.example", "/", &[]).status, 503);
}

#[test]
fn a_rate_may_be_one_of_seconds() {
    if !possible() {
        return;
    }
    let (site, endpoint) = Site::web(&[("limit-rps", "1"), ("limit-burst-multiplier", "2")], &[]);
    let statuses: Vec<_> = (0..40).map(|_| site.get("a.example", "/", &[]).status).collect();
    assert_eq!(statuses[..2], [200, 200]);
    let served = statuses.iter().filter(|status| **status == 200).count();
    assert!(served < 40 && endpoint.seen().len() == served, "{statuses:?}");
}

#[test]
fn requests_at_a_time_are_limited() {
    if !possible() {
        return;
    }
    let namespace = Site::namespace();
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let endpoint = Endpoint::start(&namespace, "10.1.0.1:8000", move |seen, stream| {
        if seen.line().contains("/slow") {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbe");
            wait.lock().unwrap().recv().unwrap();
            return stream.write_all(b"en").is_ok();
        }
        ok(stream, "fast")
    });
    let text =
        ingress("web", "a.example", &[("limit-connections", "1")]) + &service("web", &[endpoint.address]);
    let site = Site::start_in(namespace, &text, &[]);
    let mut slow = site.client();
    slow.send("GET /slow HTTP/1.1\r\nHost: a.example\r\n\r\n");
    wait::until_true("the slow request arrives", || endpoint.seen().len() == 1).unwrap();
    assert_eq!(site.get("a.example", "/", &[]).status, 503);
    go.send(()).unwrap();
    assert_eq!(slow.response().text(), "been");
    wait::until_true("its place is free again", || site.get("a.example", "/", &[]).status == 200).unwrap();
}
