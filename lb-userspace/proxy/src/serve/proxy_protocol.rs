//! The PROXY protocol, versions 1 and 2 (haproxy, doc/proxy-protocol.txt), as receiver.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// What version 2 begins with (§2.2).
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// The longest header of version 1, with its line end (§2.1).
const LONGEST_V1: usize = 107;
/// The longest header of version 2 that is read: addresses take 36 bytes, extensions may follow.
const LONGEST_V2: usize = 16 + 2048;

/// What the first bytes of a connection are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Header {
    /// More bytes are needed to tell.
    Incomplete,
    /// A whole header of so many bytes, with client and local address unless the sender speaks for itself.
    Complete { length: usize, addresses: Option<(SocketAddr, SocketAddr)> },
    /// None. A sender that is trusted to send headers must send one (§2): guessing would let clients forge it.
    Invalid,
}

/// Reads a header from the first bytes of a connection.
pub(super) fn parse(bytes: &[u8]) -> Header {
    let begins = |start: &[u8]| bytes.iter().zip(start).all(|(a, b)| a == b);
    if begins(SIGNATURE) {
        return if bytes.len() < 16 { Header::Incomplete } else { parse_v2(bytes) };
    }
    if begins(b"PROXY ") {
        return parse_v1(bytes);
    }
    Header::Invalid
}

fn parse_v1(bytes: &[u8]) -> Header {
    let Some(end) = bytes.iter().take(LONGEST_V1).position(|byte| *byte == b'\n') else {
        return if bytes.len() < LONGEST_V1 { Header::Incomplete } else { Header::Invalid };
    };
    let line = bytes[..end].strip_suffix(b"\r").and_then(|line| str::from_utf8(line).ok());
    let Some(line) = line else { return Header::Invalid };
    let words: Vec<_> = line.split(' ').skip(1).collect();
    let addresses = match words[..] {
        ["UNKNOWN", ..] => None,
        [family @ ("TCP4" | "TCP6"), client, local, client_port, local_port] => {
            let address = |ip: &str, port: &str| -> Option<SocketAddr> {
                let ip: IpAddr = ip.parse().ok().filter(|ip: &IpAddr| ip.is_ipv4() == (family == "TCP4"))?;
                Some(SocketAddr::new(ip, port.parse().ok()?))
            };
            match (address(client, client_port), address(local, local_port)) {
                (Some(client), Some(local)) => Some((client, local)),
                _ => return Header::Invalid,
            }
        }
        _ => return Header::Invalid,
    };
    Header::Complete { length: end + 1, addresses }
}

fn parse_v2(bytes: &[u8]) -> Header {
    let (version, command) = (bytes[12] >> 4, bytes[12] & 0xf);
    let length = 16 + usize::from(u16::from_be_bytes([bytes[14], bytes[15]]));
    if version != 2 || command > 1 || length > LONGEST_V2 {
        return Header::Invalid;
    }
    let Some(body) = bytes.get(16..length) else { return Header::Incomplete };
    let port = |at: usize| u16::from_be_bytes([body[at], body[at + 1]]);
    // LOCAL: a health check of the sender's own (§2.2).
    let addresses = match (command, bytes[13]) {
        (1, 0x11) if body.len() >= 12 => {
            let ip = |at: usize| Ipv4Addr::new(body[at], body[at + 1], body[at + 2], body[at + 3]);
            Some((SocketAddr::from((ip(0), port(8))), SocketAddr::from((ip(4), port(10)))))
        }
        (1, 0x21) if body.len() >= 36 => {
            let ip = |at: usize| {
                let mut octets = [0; 16];
                octets.copy_from_slice(&body[at..at + 16]);
                Ipv6Addr::from(octets)
            };
            Some((SocketAddr::from((ip(0), port(32))), SocketAddr::from((ip(16), port(34)))))
        }
        (1, 0x11 | 0x21) => return Header::Invalid,
        _ => None,
    };
    Header::Complete { length, addresses }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(header: Header) -> Option<(String, String)> {
        match header {
            Header::Complete { addresses, .. } => addresses.map(|(a, b)| (a.to_string(), b.to_string())),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn version_1_tells_both_addresses() {
        let header = parse(b"PROXY TCP4 192.0.2.1 10.0.0.1 5000 443\r\nGET / HTTP/1.1\r\n");
        assert!(matches!(header, Header::Complete { length: 40, .. }));
        assert_eq!(addresses(header), Some(("192.0.2.1:5000".to_owned(), "10.0.0.1:443".to_owned())));
        let header = parse(b"PROXY TCP6 2001:db8::1 2001:db8::2 5000 443\r\n");
        assert_eq!(addresses(header).unwrap().0, "[2001:db8::1]:5000");
        assert_eq!(addresses(parse(b"PROXY UNKNOWN\r\n")), None);
    }

    #[test]
    fn version_2_tells_both_addresses() {
        let mut bytes = SIGNATURE.to_vec();
        bytes.extend([0x21, 0x11, 0, 12, 192, 0, 2, 1, 10, 0, 0, 1, 0x13, 0x88, 1, 0xbb]);
        assert_eq!(addresses(parse(&bytes)), Some(("192.0.2.1:5000".to_owned(), "10.0.0.1:443".to_owned())));
        bytes[12] = 0x20;
        assert_eq!(addresses(parse(&bytes)), None);
        bytes[15] = 200;
        assert_eq!(parse(&bytes), Header::Incomplete);
    }

    #[test]
    fn every_prefix_of_a_header_is_incomplete() {
        let mut v2 = SIGNATURE.to_vec();
        v2.extend([0x21, 0x11, 0, 12, 192, 0, 2, 1, 10, 0, 0, 1, 0x13, 0x88, 1, 0xbb]);
        for header in [&b"PROXY TCP4 192.0.2.1 10.0.0.1 5000 443\r\n"[..], &v2] {
            for length in 1..header.len() {
                assert_eq!(parse(&header[..length]), Header::Incomplete, "{length}");
            }
        }
    }

    #[test]
    fn anything_else_is_no_header() {
        for bytes in [
            &b"GET / HTTP/1.1\r\n"[..],
            b"PROXY TCP4 192.0.2.1 10.0.0.1 5000\r\n",
            b"PROXY TCP4 2001:db8::1 10.0.0.1 5000 443\r\n",
            b"PROXY TCP4 192.0.2.1 10.0.0.1 5000 443\n",
            &[b'P', b'R', b'O', b'X', b'Y', b' '].iter().chain(&[b'a'; 120]).copied().collect::<Vec<_>>(),
            b"\r\n\r\n\0\r\nQUIT\n\x31\x11\0\0",
        ] {
            assert_eq!(parse(bytes), Header::Invalid, "{bytes:?}");
        }
    }
}
