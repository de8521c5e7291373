//! The PROXY protocol: from those who may, and nobody else.

use super::site::{Site, possible};

const GET: &str = "GET / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n";

#[test]
fn both_versions_tell_the_clients_address_also_in_pieces() {
    if !possible() {
        return;
    }
    let (site, endpoint) = Site::web(&[], &["--proxy-protocol-from", "127.0.0.1"]);
    let v1 = b"PROXY TCP4 203.0.113.7 192.0.2.1 5000 443\r\n".to_vec();
    let mut v2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    v2.extend([203, 0, 113, 8, 192, 0, 2, 1, 0x13, 0x88, 0x01, 0xbb]);
    for header in [v1, v2] {
        let mut client = site.client();
        let (first, second) = header.split_at(9);
        client.send(first);
        client.send(second);
        client.send(GET);
        assert_eq!(client.response().status, 200);
    }
    let addresses: Vec<_> = endpoint.seen().iter().map(|seen| seen.fields("x-real-ip").concat()).collect();
    assert_eq!(addresses, ["203.0.113.7", "203.0.113.8"]);
    assert_eq!(endpoint.seen()[0].fields("x-forwarded-port"), ["443"]);
}

#[test]
fn a_peer_that_must_send_a_header_and_does_not_is_cut() {
    if !possible() {
        return;
    }
    let (site, endpoint) = Site::web(&[], &["--proxy-protocol-from", "127.0.0.1"]);
    let mut client = site.client();
    client.send(GET);
    assert!(client.is_closed());
    assert_eq!(endpoint.seen().len(), 0);
}

#[test]
fn a_header_from_anybody_else_is_no_request() {
    if !possible() {
        return;
    }
    let (site, endpoint) = Site::web(&[], &["--proxy-protocol-from", "192.0.2.0/24"]);
    let mut client = site.client();
    client.send("PROXY TCP4 203.0.113.7 192.0.2.1 5000 443\r\n");
    client.send(GET);
    assert_eq!(client.response().status, 400);
    assert_eq!(endpoint.seen().len(), 0);
}
