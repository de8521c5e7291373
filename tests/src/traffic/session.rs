//! A client's connection, or its connected UDP socket.

use std::{
    io::{self, BufRead, BufReader, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket},
    os::fd::{AsRawFd, OwnedFd},
};

use lb_model::object::{IpFamily, Protocol};
use nix::sys::{
    socket::{
        AddressFamily, SockFlag, SockType, SockaddrStorage, bind, connect, setsockopt, socket, sockopt,
    },
    time::{TimeVal, TimeValLike},
};

use super::{PATIENCE, Target};
use crate::netns::Namespace;

/// What a pod answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The pod.
    pub pod: String,
    /// The client that the pod saw.
    pub client: SocketAddr,
}

impl Answer {
    fn parse(line: &str) -> io::Result<Self> {
        let mut words = line.split_whitespace();
        let answer = words.next().zip(words.next().and_then(|client| client.parse().ok()));
        match answer {
            Some((pod, client)) => Ok(Self { pod: pod.into(), client }),
            None => Err(io::Error::new(io::ErrorKind::UnexpectedEof, format!("no answer but {line:?}"))),
        }
    }
}

/// Something to talk over: it can be asked again and again.
#[derive(Debug)]
pub enum Session {
    /// A TCP connection.
    Tcp(BufReader<TcpStream>),
    /// A connected UDP socket, which learns of ICMP errors.
    Udp(UdpSocket),
}

impl Session {
    /// Opens a session from a namespace, from an address and a port of the kernel's choice.
    ///
    /// # Errors
    /// What the connection met: refused, timed out …
    pub fn open(from: &Namespace, target: Target) -> io::Result<Self> {
        from.enter(|| Self::open_here(target))
    }

    /// As [`open`](Self::open), from a given source port, which several sessions to several targets may share.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_from_port(from: &Namespace, port: u16, target: Target) -> io::Result<Self> {
        let any = match target.family() {
            IpFamily::Ipv4 => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            IpFamily::Ipv6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        Self::open_from(from, SocketAddr::new(any, port), target)
    }

    /// As [`open_from_port`](Self::open_from_port), from a given address too; port 0 leaves the port to the kernel.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_from(from: &Namespace, source: SocketAddr, target: Target) -> io::Result<Self> {
        from.enter(|| {
            let socket = Self::socket(target)?;
            if source.port() != 0 {
                // Not for a port of the kernel's choice: that could then be one that another session has already.
                setsockopt(&socket, sockopt::ReuseAddr, &true)?;
            }
            bind(socket.as_raw_fd(), &SockaddrStorage::from(source))?;
            Self::connect(socket, target)
        })
    }

    /// A socket belongs to the namespace of the thread that makes it, whoever uses it later.
    pub(super) fn open_here(target: Target) -> io::Result<Self> {
        Self::connect(Self::socket(target)?, target)
    }

    fn socket(target: Target) -> io::Result<OwnedFd> {
        let family = match target.family() {
            IpFamily::Ipv4 => AddressFamily::Inet,
            IpFamily::Ipv6 => AddressFamily::Inet6,
        };
        let kind = match target.protocol {
            Protocol::Tcp => SockType::Stream,
            Protocol::Udp => SockType::Datagram,
            Protocol::Sctp => return Err(io::Error::other("the tests have no SCTP sockets")),
        };
        let socket = socket(family, kind, SockFlag::SOCK_CLOEXEC, None)?;
        let patience = TimeVal::seconds(PATIENCE.as_secs() as i64);
        // The send timeout bounds connect too (socket(7)).
        setsockopt(&socket, sockopt::SendTimeout, &patience)?;
        setsockopt(&socket, sockopt::ReceiveTimeout, &patience)?;
        Ok(socket)
    }

    fn connect(socket: OwnedFd, target: Target) -> io::Result<Self> {
        connect(socket.as_raw_fd(), &SockaddrStorage::from(target.address))?;
        Ok(match target.protocol {
            Protocol::Tcp => Self::Tcp(BufReader::new(TcpStream::from(socket))),
            Protocol::Udp | Protocol::Sctp => Self::Udp(UdpSocket::from(socket)),
        })
    }

    /// Asks who is there.
    ///
    /// # Errors
    /// What the connection met, or an answer that is none.
    pub fn ask(&mut self) -> io::Result<Answer> {
        match self {
            Self::Tcp(stream) => {
                stream.get_mut().write_all(b"who\n")?;
                let mut line = String::new();
                stream.read_line(&mut line)?;
                Answer::parse(&line)
            }
            Self::Udp(socket) => echo(socket, b"who"),
        }
    }
}

/// Sends a datagram, which has to come back whole behind the pod's name and the client that it saw.
///
/// # Errors
/// What the socket met, or an answer that is not what was sent.
pub fn echo(socket: &UdpSocket, payload: &[u8]) -> io::Result<Answer> {
    socket.send(payload)?;
    let mut buffer = vec![0; payload.len() + 256];
    let length = socket.recv(&mut buffer)?;
    let Some(head) = buffer[..length].strip_suffix(payload) else {
        let what = format!("{length} bytes that do not end as the {} that were sent", payload.len());
        return Err(io::Error::new(io::ErrorKind::InvalidData, what));
    };
    Answer::parse(&String::from_utf8_lossy(head))
}

/// As [`echo`], and once more for each router on the way that says that the datagram was too long: the next one goes out
/// in fragments that fit.
///
/// # Errors
/// As [`echo`].
pub fn echo_that_fits(socket: &UdpSocket, payload: &[u8]) -> io::Result<Answer> {
    // Every link of the network may be narrower than the one before.
    for _ in 0..3 {
        match echo(socket, payload) {
            Err(error) if error.raw_os_error() == Some(libc::EMSGSIZE) => {}
            outcome => return outcome,
        }
    }
    echo(socket, payload)
}
