//! WebSockets: nothing but bytes after the 101, in both directions, whatever happens to the configuration.

use std::io::{Read, Write};

use lb_tests::wait;

use super::{
    client::Client,
    endpoint::Endpoint,
    site::{Site, ingress, possible, service},
};

const UPGRADE: &str = "GET /chat HTTP/1.1\r\nHost: a.example\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

/// Switches, and sends back what comes; refuses `/no`.
fn echo(namespace: &lb_tests::netns::Namespace) -> Endpoint {
    Endpoint::start(namespace, "10.1.0.1:8000", |seen, stream| {
        if !seen.line().contains("/chat") {
            return stream.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno").is_ok();
        }
        let _ = stream.write_all(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
              Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
        );
        let mut chunk = [0; 4096];
        while let Ok(length @ 1..) = stream.read(&mut chunk) {
            let _ = stream.write_all(&chunk[..length]);
        }
        false
    })
}

fn site(flags: &[&str]) -> (Site, Endpoint) {
    let namespace = Site::namespace();
    let endpoint = echo(&namespace);
    let text = ingress("web", "a.example", &[]) + &service("web", &[endpoint.address]);
    (Site::start_in(namespace, &text, flags), endpoint)
}

fn open(site: &Site) -> Client {
    let mut client = site.client();
    client.send(UPGRADE);
    let response = client.response();
    assert_eq!(response.status, 101, "{response:?}");
    assert_eq!(response.field("upgrade"), Some("websocket"));
    assert_eq!(response.field("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    client
}

#[test]
fn bytes_pass_both_ways_unchanged() {
    if !possible() {
        return;
    }
    let (site, endpoint) = site(&[]);
    let mut client = open(&site);
    let bytes: Vec<u8> = (0..100_000u32).map(|n| (n % 251) as u8).collect();
    client.send(&bytes);
    assert_eq!(client.exactly(bytes.len()).unwrap(), bytes);
    let seen = endpoint.only();
    assert_eq!(
        (seen.fields("upgrade"), seen.fields("sec-websocket-version")),
        (vec!["websocket"], vec!["13"])
    );
    wait::until_true("the tunnel is counted", || site.metric("sluice_ingress_open_tunnels") == 1.0).unwrap();
    client.finish();
    assert!(client.is_closed());
    wait::until_true("the tunnel has ended", || site.metric("sluice_ingress_open_tunnels") == 0.0).unwrap();
}

#[test]
fn an_endpoint_that_refuses_is_heard_and_gets_no_raw_bytes() {
    if !possible() {
        return;
    }
    let (site, endpoint) = site(&[]);
    let mut client = site.client();
    client.send(UPGRADE.replace("/chat", "/no"));
    client.send("GET /smuggled HTTP/1.1\r\nHost: internal\r\n\r\n");
    assert_eq!(client.response().text(), "no");
    // The rest is the next request of this connection, and judged as such.
    assert_eq!(client.response().status, 404);
    assert_eq!(endpoint.only().line(), "GET /no HTTP/1.1");
}

#[test]
fn two_hundred_websockets_and_a_download_outlive_five_hundred_configurations() {
    if !possible() {
        return;
    }
    let namespace = Site::namespace();
    let endpoint = echo(&namespace);
    let download = Endpoint::start(&namespace, "10.1.0.2:8000", |_, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 104857600\r\n\r\n");
        let chunk = [7; 64 << 10];
        (0..1600).all(|_| stream.write_all(&chunk).is_ok())
    });
    let base = ingress("web", "a.example", &[])
        + &ingress("big", "big.example", &[])
        + &service("web", &[endpoint.address])
        + &service("big", &[download.address]);
    let site = Site::start_in(namespace, &base, &[]);
    let mut sockets: Vec<_> = (0..200).map(|_| open(&site)).collect();
    let mut big = site.client();
    big.send("GET / HTTP/1.1\r\nHost: big.example\r\n\r\n");
    let mut received = 0;
    for round in 0..500 {
        let text = base.clone() + &ingress("more", &format!("h{round}.example"), &[]);
        // The first half changes others, the second takes their own routes away.
        let text = if round < 250 { text } else { text.replace("a.example", "gone.example") };
        site.apply(&text);
        received += big.exactly(100_000).unwrap().len();
        let socket = &mut sockets[round % 200];
        socket.send("still here");
        assert_eq!(socket.exactly(10).unwrap(), b"still here", "{round}");
    }
    wait::until_true("many configurations were served", || site.metric("sluice_ingress_generation") > 50.0)
        .unwrap();
    for socket in &mut sockets {
        socket.send("end");
        assert_eq!(socket.exactly(3).unwrap(), b"end");
    }
    assert_eq!(site.get("a.example", "/chat", &[]).status, 404);
    assert!(received >= 50_000_000);
}
