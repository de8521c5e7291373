//! Clients of the proxy, of both HTTP versions, with TLS and without.

use std::{io, net::SocketAddr};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::{
    Request, Response,
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

use crate::trust::Trust;

/// A failed request in one word or more.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A connection.
pub(crate) enum Client {
    Http1(http1::SendRequest<Empty<Bytes>>),
    /// With the scheme of its requests.
    Http2(http2::SendRequest<Empty<Bytes>>, &'static str),
}

impl Client {
    /// Status and text of a path of a host.
    pub(crate) async fn get(&mut self, host: &str, path: &str) -> Result<(u16, String), Failure> {
        let response: Response<Incoming> = match self {
            Self::Http1(sender) => {
                sender.ready().await?;
                let request = Request::get(path).header("host", host).body(Empty::new())?;
                sender.send_request(request).await?
            }
            Self::Http2(sender, scheme) => {
                sender.ready().await?;
                let request = Request::get(format!("{scheme}://{host}{path}")).body(Empty::new())?;
                sender.send_request(request).await?
            }
        };
        let status = response.status().as_u16();
        let body = response.into_body().collect().await?.to_bytes();
        Ok((status, String::from_utf8(body.to_vec())?))
    }
}

/// HTTP/1.1.
pub(crate) async fn http1(address: SocketAddr) -> Result<Client, Failure> {
    Ok(Client::Http1(handshake1(TcpStream::connect(address).await?).await?))
}

/// HTTP/2 with prior knowledge.
pub(crate) async fn http2(address: SocketAddr) -> Result<Client, Failure> {
    Ok(Client::Http2(handshake2(TcpStream::connect(address).await?).await?, "http"))
}

/// HTTP/1.1 over TLS, and the name of the certificate.
pub(crate) async fn https1(
    address: SocketAddr,
    host: &str,
    trust: &Trust,
) -> Result<(Client, String), Failure> {
    let (stream, name) = tls(address, host, trust, "http/1.1").await?;
    Ok((Client::Http1(handshake1(stream).await?), name))
}

/// HTTP/2 over TLS, and the name of the certificate.
pub(crate) async fn https2(
    address: SocketAddr,
    host: &str,
    trust: &Trust,
) -> Result<(Client, String), Failure> {
    let (stream, name) = tls(address, host, trust, "h2").await?;
    Ok((Client::Http2(handshake2(stream).await?, "https"), name))
}

async fn handshake1<S>(stream: S) -> Result<http1::SendRequest<Empty<Bytes>>, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

async fn handshake2<S>(stream: S) -> Result<http2::SendRequest<Empty<Bytes>>, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

async fn tls(
    address: SocketAddr,
    host: &str,
    trust: &Trust,
    protocol: &str,
) -> Result<(tokio_rustls::client::TlsStream<TcpStream>, String), Failure> {
    let connector = TlsConnector::from(trust.client(protocol));
    let name = ServerName::try_from(host.to_owned())?;
    let stream = connector.connect(name, TcpStream::connect(address).await?).await?;
    let session = stream.get_ref().1;
    if session.alpn_protocol() != Some(protocol.as_bytes()) {
        return Err(format!("{protocol} was not agreed on").into());
    }
    let certificate = session.peer_certificates().and_then(|chain| chain.first());
    let name = certificate.and_then(|certificate| trust.name(certificate)).ok_or("an unknown certificate")?;
    Ok((stream, name))
}

/// A WebSocket, of which the proxy reads nothing after the handshake.
pub(crate) struct WebSocket(TcpStream);

impl WebSocket {
    pub(crate) async fn open(address: SocketAddr, host: &str) -> io::Result<Self> {
        let mut stream = TcpStream::connect(address).await?;
        let request = format!(
            "GET /chat HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await?);
        }
        assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
        Ok(Self(stream))
    }

    /// Sends a word and waits until it comes back.
    pub(crate) async fn echo(&mut self, word: [u8; 8]) -> io::Result<()> {
        self.0.write_all(&word).await?;
        let mut back = [0; 8];
        self.0.read_exact(&mut back).await?;
        if back == word { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
    }
}
