//! The first bytes of a connection: who is there, and what is spoken.

use std::{
    io,
    net::{IpAddr, SocketAddr},
};

use bytes::{Buf, BytesMut};
use tokio::{io::AsyncReadExt, net::TcpStream};

use super::{
    client::is_in,
    proxy_protocol::{self, Header},
    shared::Settings,
};
use crate::transport::Prefixed;

/// What HTTP/2 begins with where both sides know (RFC 9113 §3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Most first requests come whole.
const FIRST_READ: usize = 4 << 10;

/// A connection whose first bytes were looked at.
pub(super) struct Preamble {
    pub(super) stream: Prefixed,
    pub(super) client: SocketAddr,
    pub(super) local: SocketAddr,
    /// True where HTTP/2 was begun without TLS.
    pub(super) is_http2: bool,
}

/// Looks at the first bytes: the PROXY protocol where the peer speaks it, then, without TLS, which HTTP it is.
pub(super) async fn read(
    mut tcp: TcpStream,
    peer: SocketAddr,
    is_tls: bool,
    settings: &Settings,
) -> io::Result<Preamble> {
    let (mut client, mut local) = (peer, tcp.local_addr()?);
    let mut bytes = BytesMut::new();
    if is_in(&settings.proxy_protocol_from, canonical(peer)) {
        loop {
            match proxy_protocol::parse(&bytes) {
                Header::Complete { length, addresses } => {
                    bytes.advance(length);
                    (client, local) = addresses.unwrap_or((client, local));
                    break;
                }
                Header::Incomplete => more(&mut tcp, &mut bytes).await?,
                Header::Invalid => {
                    return Err(io::Error::other("no PROXY header from a peer that must send one"));
                }
            }
        }
    }
    let mut is_http2 = false;
    if !is_tls {
        while bytes.len() < PREFACE.len() && PREFACE.starts_with(&bytes) {
            more(&mut tcp, &mut bytes).await?;
        }
        is_http2 = bytes.starts_with(PREFACE);
    }
    Ok(Preamble { stream: Prefixed::new(bytes.freeze(), tcp), client, local, is_http2 })
}

fn canonical(address: SocketAddr) -> IpAddr {
    address.ip().to_canonical()
}

async fn more(tcp: &mut TcpStream, bytes: &mut BytesMut) -> io::Result<()> {
    bytes.reserve(FIRST_READ);
    match tcp.read_buf(bytes).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}
