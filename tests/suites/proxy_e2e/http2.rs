//! HTTP/2 on both sides.

use std::io::Write;

use super::{
    endpoint::Endpoint,
    site::{Site, ingress, possible, service},
};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A frame (RFC 9113 §4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A literal field without indexing (RFC 7541 §6.2.2).
fn field(name: &str, value: &str) -> Vec<u8> {
    let mut bytes = vec![0, name.len() as u8];
    bytes.extend(name.as_bytes());
    bytes.push(value.len() as u8);
    bytes.extend(value.as_bytes());
    bytes
}

fn get(fields: &[(&str, &str)]) -> Vec<u8> {
    let all = [(":method", "GET"), (":scheme", "http"), (":path", "/")];
    all.iter().chain(fields).flat_map(|(name, value)| field(name, value)).collect()
}

/// Sends frames after the preface and reads until the other side closes.
fn exchange(site: &Site, frames: &[Vec<u8>]) -> Vec<(u8, u8, u32, Vec<u8>)> {
    let mut client = site.client();
    client.send(PREFACE);
    client.send(frame(4, 0, 0, &[]));
    for bytes in frames {
        client.send(bytes);
    }
    let mut seen = Vec::new();
    while let Some(head) = client.exactly(9) {
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        let Some(payload) = client.exactly(length) else { break };
        // DATA or RST_STREAM that ends a stream: enough for these tests.
        let ends = (head[3] == 0 && head[4] & 1 == 1) || head[3] == 3 || head[3] == 7;
        seen.push((head[3], head[4], stream, payload));
        if ends {
            break;
        }
    }
    seen
}

#[test]
fn prior_knowledge_is_understood_on_the_plain_port() {
    if !possible() {
        return;
    }
    let (site, endpoint) = Site::web(&[], &[]);
    let url = format!("http://{}/x", super::site::HTTP);
    let text =
        site.curl(&["--http2-prior-knowledge", "-H", "Host: a.example", "-w", " %{http_version}", &url]);
    assert_eq!(text, "10.1.0.1:8000 2");
    assert_eq!(endpoint.only().line(), "GET /x HTTP/1.1");
}

#[test]
fn authority_and_host_must_agree_and_cookies_are_joined() {
    if !possible() {
        return;
    }
    let (site, endpoint) = Site::web(&[], &[]);
    let ask = |fields: &[(&str, &str)]| {
        let frames = exchange(&site, &[frame(1, 5, 1, &get(fields))]);
        String::from_utf8_lossy(&frames.last().unwrap().3).into_owned()
    };
    assert_eq!(ask(&[(":authority", "a.example"), ("cookie", "a=1"), ("cookie", "b=2")]), "10.1.0.1:8000");
    assert_eq!(endpoint.only().fields("cookie"), ["a=1; b=2"]);
    assert!(ask(&[(":authority", "a.example"), ("host", "b.example")]).starts_with("400"));
    assert_eq!(endpoint.seen().len(), 1);
}

#[test]
fn a_flood_of_resets_ends_the_connection() {
    if !possible() {
        return;
    }
    let (site, _endpoint) = Site::web(&[], &[]);
    let mut frames = Vec::new();
    for number in 0..2000u32 {
        frames.push(frame(1, 5, number * 2 + 1, &get(&[(":authority", "a.example")])));
        frames.push(frame(3, 0, number * 2 + 1, &8u32.to_be_bytes()));
    }
    let all: Vec<u8> = frames.concat();
    let mut client = site.client();
    client.send(PREFACE);
    client.send(frame(4, 0, 0, &[]));
    client.send(&all);
    let mut goaway = false;
    while let Some(head) = client.exactly(9) {
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let payload = client.exactly(length);
        goaway |= head[3] == 7 && payload.is_some_and(|payload| payload[4..8] == 11u32.to_be_bytes());
    }
    assert!(goaway, "no GOAWAY with ENHANCE_YOUR_CALM");
    assert_eq!(site.get("a.example", "/", &[]).status, 200);
}

#[test]
fn endpoints_may_speak_http_2_without_tls_and_trailers_pass() {
    if !possible() {
        return;
    }
    let namespace = Site::namespace();
    let inner = Endpoint::start(&namespace, "10.1.0.1:8000", |_, stream| {
        let response = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: grpc-status\r\n\r\n\
                        4\r\nbody\r\n0\r\ngrpc-status: 0\r\n\r\n";
        stream.write_all(response.as_bytes()).is_ok()
    });
    // The inner proxy is the one that speaks h2c to the outer: its plain port understands it.
    let text = ingress("inner", "a.example", &[]) + &service("inner", &[inner.address]);
    let chain = Site::start_in(namespace, &text, &["--http", "10.1.0.9:8080"]);
    let outer = ingress("outer", "a.example", &[("backend-protocol", "GRPC")])
        + &service("outer", &["10.1.0.9:8080".parse().unwrap()]);
    let address = "127.0.0.1:8081";
    let _second = chain.second(&outer, address);
    let url = format!("http://{address}/x");
    for _ in 0..3 {
        let text =
            chain.curl(&["--http2-prior-knowledge", "-D", "-", "-H", "Host: a.example", "-d", "sent", &url]);
        assert!(text.contains("HTTP/2 200") && text.contains("body"), "{text}");
        assert!(text.contains("grpc-status: 0"), "{text}");
    }
    let seen = inner.seen();
    assert_eq!(seen.len(), 3);
    assert!(seen.iter().all(|seen| seen.body == b"sent" && seen.fields("host") == ["a.example"]), "{seen:?}");
    // All of them over one connection between the proxies.
    assert_eq!(chain.metric("sluice_ingress_connections_total{listener=\"http\"}"), 1.0);
}

#[test]
fn a_stream_whose_client_reads_nothing_is_reset() {
    if !possible() {
        return;
    }
    let (site, _endpoint) = Site::web(&[], &["--client-timeout", "0.3"]);
    let mut client = site.client();
    client.send(PREFACE);
    // SETTINGS_INITIAL_WINDOW_SIZE 0 (RFC 9113 §6.5.2): nothing may be sent.
    client.send(frame(4, 0, 0, &[0, 4, 0, 0, 0, 0]));
    client.send(frame(1, 5, 1, &get(&[(":authority", "a.example")])));
    loop {
        let head = client.exactly(9).expect("RST_STREAM before the end");
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        client.exactly(length).unwrap();
        assert_ne!(head[3], 0, "DATA although the window is shut");
        if head[3] == 3 {
            break;
        }
    }
    lb_tests::wait::until_true("the request has ended", || {
        site.metric("sluice_ingress_request_duration_seconds_count{ingress=\"default/web\"}") == 1.0
    })
    .unwrap();
}
