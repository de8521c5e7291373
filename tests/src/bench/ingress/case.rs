//! What is asked of the proxies.

/// How clients come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Clients {
    /// HTTP/1.1 over connections that stay.
    KeepAlive,
    /// HTTP/1.1, a connection for each request.
    NewConnections,
    /// HTTP/1.1 over TLS 1.3 connections that stay.
    TlsKeepAlive,
    /// HTTP/1.1, a connection with a full TLS 1.3 handshake for each request.
    TlsHandshakes,
    /// HTTP/2 over TLS 1.3 connections that stay.
    Http2,
}

/// One row of the matrix.
#[derive(Clone, Copy, Debug)]
pub(super) struct Case {
    /// What the report calls it.
    pub(super) name: &'static str,
    /// How clients come.
    pub(super) clients: Clients,
    /// Bytes of a response body.
    pub(super) body: usize,
    /// True where one CPU of load keeps a proxy busy. Large bodies, new connections and handshakes cost the client as
    /// much as the proxy, so that proxies wait for it.
    pub(super) saturates: bool,
}

/// Connections of clients; of HTTP/2, with [`STREAMS`] requests at a time each, fewer.
pub(super) const CONNECTIONS: u32 = 32;
/// Connections of HTTP/2.
pub(super) const HTTP2_CONNECTIONS: u32 = 8;
/// Requests at a time on a connection of HTTP/2.
pub(super) const STREAMS: u32 = 16;
/// Sizes of bodies.
pub(super) const BODIES: [usize; 3] = [256, 4096, 65_536];

/// The matrix.
pub(super) const CASES: [Case; 7] = [
    case("HTTP/1.1 keep-alive, 256 B", Clients::KeepAlive, BODIES[0], true),
    case("HTTP/1.1 keep-alive, 4 KiB", Clients::KeepAlive, BODIES[1], true),
    case("HTTP/1.1 keep-alive, 64 KiB", Clients::KeepAlive, BODIES[2], false),
    case("a connection per request, 256 B", Clients::NewConnections, BODIES[0], false),
    case("TLS 1.3 keep-alive, 256 B", Clients::TlsKeepAlive, BODIES[0], true),
    case("TLS 1.3 handshake per request, 256 B", Clients::TlsHandshakes, BODIES[0], false),
    case("HTTP/2 over TLS 1.3, 256 B", Clients::Http2, BODIES[0], true),
];

const fn case(name: &'static str, clients: Clients, body: usize, saturates: bool) -> Case {
    Case { name, clients, body, saturates }
}

impl Clients {
    /// True where they come over TLS.
    pub(super) const fn tls(self) -> bool {
        matches!(self, Self::TlsKeepAlive | Self::TlsHandshakes | Self::Http2)
    }

    /// True where connections stay: only then there is a generator of requests at a fixed rate.
    pub(super) const fn stay(self) -> bool {
        matches!(self, Self::KeepAlive | Self::TlsKeepAlive | Self::Http2)
    }

    /// Connections that are open at a time.
    pub(super) const fn connections(self) -> u32 {
        match self {
            Self::Http2 => HTTP2_CONNECTIONS,
            _ => CONNECTIONS,
        }
    }
}
