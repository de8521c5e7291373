//! Pages over HTTP, each over a connection of its own.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
};

use super::{PATIENCE, Protocol, Session, Target};
use crate::netns::Namespace;

/// An answer over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The status code.
    pub status: u16,
    /// The status line and the headers.
    pub head: String,
    /// What follows them.
    pub body: String,
}

impl Page {
    /// Reads until the server closes the connection.
    fn read(mut stream: impl Read) -> io::Result<Self> {
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let page = answer.split_once("\r\n\r\n").and_then(|(head, body)| {
            let status = head.split_whitespace().nth(1)?.parse().ok()?;
            Some(Self { status, head: head.into(), body: body.into() })
        });
        page.ok_or_else(|| io::Error::new(io::ErrorKind::UnexpectedEof, format!("no page but {answer:?}")))
    }
}

/// Asks for a page, as curl does, from a given source port (0 for any).
///
/// # Errors
/// What the connection met, or an answer that is no page.
pub fn get(from: &Namespace, port: u16, address: SocketAddr) -> io::Result<Page> {
    let target = Target { protocol: Protocol::Tcp, address };
    let Session::Tcp(mut stream) = Session::open_from_port(from, port, target)? else {
        return Err(io::ErrorKind::Unsupported.into());
    };
    write!(stream.get_mut(), "GET / HTTP/1.0\r\nHost: {}\r\n\r\n", address.ip())?;
    Page::read(stream)
}

/// Asks a server of a program, such as that of `--admin`.
///
/// # Errors
/// As [`get`].
pub fn request(
    from: &Namespace,
    address: SocketAddr,
    method: &str,
    path: &str,
    body: &str,
) -> io::Result<Page> {
    let mut stream = from.enter(|| TcpStream::connect_timeout(&address, PATIENCE))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    )?;
    Page::read(stream)
}
