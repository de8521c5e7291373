//! No wait is for ever.

use std::io::Write;

use super::{
    endpoint::{Endpoint, ok},
    site::{Site, ingress, possible, service},
};

fn site(
    annotations: &[(&str, &str)],
    flags: &[&str],
    endpoint: impl Fn(&str, &mut std::net::TcpStream) -> bool + Send + Sync + 'static,
) -> (Site, Endpoint) {
    let namespace = Site::namespace();
    let endpoint =
        Endpoint::start(&namespace, "10.1.0.1:8000", move |seen, stream| endpoint(seen.line(), stream));
    let text = ingress("web", "a.example", annotations) + &service("web", &[endpoint.address]);
    (Site::start_in(namespace, &text, flags), endpoint)
}

#[test]
fn a_client_that_never_finishes_a_head_is_cut_on_a_fresh_and_on_a_used_connection() {
    if !possible() {
        return;
    }
    let (site, endpoint) =
        site(&[], &["--header-timeout", "0.4", "--keep-alive", "60"], |_, stream| ok(stream, "x"));
    let mut slow = site.client();
    slow.send("GET / HTTP/1.1\r\nHost: a.exam");
    assert!(slow.is_closed());
    let mut used = site.client();
    used.send("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n");
    assert_eq!(used.response().status, 200);
    used.send("GET / HTTP/1.1\r\nHo");
    assert!(used.is_closed());
    assert_eq!(endpoint.seen().len(), 1);
}

#[test]
fn an_idle_connection_is_closed() {
    if !possible() {
        return;
    }
    let (site, _endpoint) = site(&[], &["--keep-alive", "0.3"], |_, stream| ok(stream, "x"));
    let mut client = site.client();
    client.send("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n");
    assert_eq!(client.response().status, 200);
    assert!(client.is_closed());
}

#[test]
fn a_client_that_stops_sending_its_body_is_answered_408() {
    if !possible() {
        return;
    }
    let (site, _endpoint) = site(&[], &["--client-timeout", "0.3"], |_, stream| ok(stream, "x"));
    let mut client = site.client();
    client.send("POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 10\r\n\r\nhalf");
    assert_eq!(client.response().status, 408);
    assert!(client.is_closed());
}

#[test]
fn a_client_that_reads_nothing_is_cut() {
    if !possible() {
        return;
    }
    let (site, _endpoint) = site(&[], &["--client-timeout", "0.3"], |_, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n");
        let chunk = [7; 64 << 10];
        (0..1526).all(|_| stream.write_all(&chunk).is_ok())
    });
    let mut client = site.client();
    client.send("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n");
    lb_tests::wait::until_true("the connection is given up", || {
        site.metric("sluice_ingress_open_connections") == 0.0
    })
    .unwrap();
    assert!(client.exactly(100_000_000).is_none());
}

#[test]
fn an_endpoint_that_says_nothing_is_a_gateway_timeout() {
    if !possible() {
        return;
    }
    let (site, endpoint) =
        site(&[("proxy-read-timeout", "1"), ("proxy-next-upstream", "off")], &[], |_, stream| {
            let mut byte = [0];
            // Until the proxy gives up.
            let _ = std::io::Read::read(stream, &mut byte);
            false
        });
    assert_eq!(site.get("a.example", "/", &[]).status, 504);
    assert_eq!(endpoint.seen().len(), 1);
}

#[test]
fn an_endpoint_that_cannot_be_reached_is_a_gateway_timeout() {
    if !possible() {
        return;
    }
    let namespace = Site::namespace();
    // What goes there comes back in by the loopback device, where nobody takes it.
    namespace.run("ip", &["route", "add", "10.2.0.0/16", "dev", "lo"]).unwrap();
    let annotations = [("proxy-connect-timeout", "1"), ("proxy-next-upstream", "off")];
    let text =
        ingress("web", "a.example", &annotations) + &service("web", &["10.2.0.1:8000".parse().unwrap()]);
    let site = Site::start_in(namespace, &text, &[]);
    assert_eq!(site.get("a.example", "/", &[]).status, 504);
}

#[test]
fn an_endpoint_that_takes_no_more_of_a_body_is_given_up() {
    if !possible() {
        return;
    }
    let namespace = Site::namespace();
    // The kernel accepts, and takes what fits into its buffers.
    let listener = namespace.enter(|| std::net::TcpListener::bind("10.1.0.1:8000")).unwrap();
    let annotations = [("proxy-send-timeout", "1"), ("proxy-body-size", "0"), ("proxy-next-upstream", "off")];
    let text = ingress("web", "a.example", &annotations) + &service("web", &[listener.local_addr().unwrap()]);
    let site = Site::start_in(namespace, &text, &[]);
    let mut client = site.client();
    client.send("POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 100000000\r\n\r\n");
    client.send(vec![7; 100_000_000]);
    let errors = "sluice_ingress_upstream_errors_total{ingress=\"default/web\",error=\"timeout\"}";
    lb_tests::wait::until_true("the endpoint is given up", || site.metric(errors) == 1.0)
        .unwrap_or_else(|error| panic!("{error:#}\n{}", site.admin("/metrics").unwrap().1));
}

#[test]
fn an_endpoint_that_breaks_off_its_response_breaks_the_clients_too() {
    if !possible() {
        return;
    }
    let (site, _endpoint) = site(&[("proxy-read-timeout", "1")], &[], |line, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
        if line.contains("/silent") {
            let mut byte = [0];
            let _ = std::io::Read::read(stream, &mut byte);
        }
        false
    });
    for path in ["/closes", "/silent"] {
        let mut client = site.client();
        client.send(format!("GET {path} HTTP/1.1\r\nHost: a.example\r\n\r\n"));
        assert!(client.try_response().is_none(), "{path}");
    }
}

#[test]
fn a_silent_websocket_is_ended() {
    if !possible() {
        return;
    }
    let (site, _endpoint) = site(&[], &["--tunnel-timeout", "0.3"], |_, stream| {
        let _ = stream.write_all(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        );
        let mut byte = [0];
        let _ = std::io::Read::read(stream, &mut byte);
        false
    });
    let mut client = site.client();
    client.send("GET / HTTP/1.1\r\nHost: a.example\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
    assert_eq!(client.response().status, 101);
    assert!(client.is_closed());
}
