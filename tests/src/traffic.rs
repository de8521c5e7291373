//! Clients: who answers, whom the answerer saw, and what failed.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, io,
    io::{BufRead, BufReader, Read, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream, UdpSocket},
    os::fd::AsRawFd,
    time::Duration,
};

pub use lb_model::object::Protocol;
use nix::sys::{
    socket::{AddressFamily, SockFlag, SockType, SockaddrIn, bind, connect, setsockopt, socket, sockopt},
    time::{TimeVal, TimeValLike},
};

use crate::netns::Namespace;

/// How long a client waits for anything. Far beyond the first retransmissions of TCP, so that a request counts as
/// failed only where nothing would have saved it.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// Where a request goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    /// TCP or UDP.
    pub protocol: Protocol,
    /// Address and port.
    pub address: SocketAddrV4,
}

impl Target {
    /// A TCP port.
    pub const fn tcp(address: Ipv4Addr, port: u16) -> Self {
        Self { protocol: Protocol::Tcp, address: SocketAddrV4::new(address, port) }
    }

    /// A UDP port.
    pub const fn udp(address: Ipv4Addr, port: u16) -> Self {
        Self { protocol: Protocol::Udp, address: SocketAddrV4::new(address, port) }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.protocol, self.address)
    }
}

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

/// An open connection, or a UDP socket that speaks to one target: it can be asked again and again.
#[derive(Debug)]
pub enum Session {
    /// A TCP connection.
    Tcp(BufReader<TcpStream>),
    /// A connected UDP socket, which learns of ICMP errors.
    Udp(UdpSocket),
}

impl Session {
    /// Opens a session from a namespace, from a source port of the kernel's choice.
    ///
    /// # Errors
    /// What the connection met: refused, timed out …
    pub fn open(from: &Namespace, target: Target) -> io::Result<Self> {
        Self::open_from_port(from, 0, target)
    }

    /// As [`open`](Self::open), from a given source port, which several sessions to several targets may share.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_from_port(from: &Namespace, port: u16, target: Target) -> io::Result<Self> {
        from.enter(|| Self::open_here(port, target))
    }

    /// A socket belongs to the namespace of the thread that makes it, whoever uses it later.
    fn open_here(source_port: u16, target: Target) -> io::Result<Self> {
        let kind = match target.protocol {
            Protocol::Tcp => SockType::Stream,
            Protocol::Udp => SockType::Datagram,
            Protocol::Sctp => return Err(io::Error::other("the tests have no SCTP sockets")),
        };
        let socket = socket(AddressFamily::Inet, kind, SockFlag::SOCK_CLOEXEC, None)?;
        let patience = TimeVal::seconds(PATIENCE.as_secs() as i64);
        // The send timeout bounds connect too (socket(7)).
        setsockopt(&socket, sockopt::SendTimeout, &patience)?;
        setsockopt(&socket, sockopt::ReceiveTimeout, &patience)?;
        if source_port != 0 {
            // Not for a port of the kernel's choice: that could then be one that another session has already.
            setsockopt(&socket, sockopt::ReuseAddr, &true)?;
            let source = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, source_port);
            bind(socket.as_raw_fd(), &SockaddrIn::from(source))?;
        }
        connect(socket.as_raw_fd(), &SockaddrIn::from(target.address))?;
        Ok(if kind == SockType::Stream {
            Self::Tcp(BufReader::new(TcpStream::from(socket)))
        } else {
            Self::Udp(UdpSocket::from(socket))
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
            Self::Udp(socket) => {
                socket.send(b"who")?;
                let mut buffer = [0; 256];
                let length = socket.recv(&mut buffer)?;
                Answer::parse(&String::from_utf8_lossy(&buffer[..length]))
            }
        }
    }
}

/// Asks for a page over HTTP, as curl does, from a given source port (0 for any); the pod closes the connection.
///
/// # Errors
/// What the connection met, or an answer without a body.
pub fn get(from: &Namespace, port: u16, address: SocketAddrV4) -> io::Result<String> {
    let target = Target { protocol: Protocol::Tcp, address };
    let Session::Tcp(mut stream) = Session::open_from_port(from, port, target)? else {
        return Err(io::ErrorKind::Unsupported.into());
    };
    write!(stream.get_mut(), "GET / HTTP/1.0\r\nHost: {}\r\n\r\n", address.ip())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
    body.ok_or_else(|| io::Error::new(io::ErrorKind::UnexpectedEof, format!("no page but {answer:?}")))
}

/// Asks once, over a new session.
///
/// # Errors
/// What the connection met.
pub fn ask(from: &Namespace, target: Target) -> io::Result<Answer> {
    Session::open(from, target)?.ask()
}

/// The outcome of many requests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many each pod answered.
    pub answered: BTreeMap<String, u64>,
    /// The client addresses that each pod saw.
    pub seen: BTreeSet<(String, IpAddr)>,
    /// How many failed, by what the client met.
    pub failed: BTreeMap<String, u64>,
}

impl Tally {
    /// Counts one request.
    pub fn count(&mut self, outcome: io::Result<Answer>) {
        match outcome {
            Ok(answer) => {
                self.seen.insert((answer.pod.clone(), answer.client.ip()));
                *self.answered.entry(answer.pod).or_default() += 1;
            }
            Err(error) => *self.failed.entry(describe(&error)).or_default() += 1,
        }
    }

    /// Adds another tally.
    pub fn add(&mut self, other: Self) {
        let add = |into: &mut BTreeMap<String, u64>, from: BTreeMap<String, u64>| {
            from.into_iter().for_each(|(key, count)| *into.entry(key).or_default() += count);
        };
        add(&mut self.answered, other.answered);
        add(&mut self.failed, other.failed);
        self.seen.extend(other.seen);
    }

    /// How many failed.
    pub fn failures(&self) -> u64 {
        self.failed.values().sum()
    }
}

/// An error in few words, the same for all of its kind.
pub fn describe(error: &io::Error) -> String {
    // How blocking sockets report that the time for connecting, or for reading, has run out (socket(7)).
    let timed_out = matches!(error.raw_os_error(), Some(libc::EINPROGRESS | libc::EAGAIN));
    if timed_out { io::ErrorKind::TimedOut } else { error.kind() }.to_string()
}

/// Sends `total` requests, each over a session of its own, `concurrency` at a time.
pub fn requests(from: &Namespace, target: Target, total: u32, concurrency: u32) -> Tally {
    from.enter(|| {
        let share = |worker| total / concurrency + u32::from(worker < total % concurrency);
        let worker = |count: u32| {
            let mut tally = Tally::default();
            (0..count).for_each(|_| {
                tally.count(Session::open_here(0, target).and_then(|mut session| session.ask()))
            });
            tally
        };
        std::thread::scope(|scope| {
            // Threads start in the namespace of the thread that makes them.
            let workers: Vec<_> =
                (0..concurrency).map(|number| scope.spawn(move || worker(share(number)))).collect();
            let mut tally = Tally::default();
            for result in workers.into_iter().map(|worker| worker.join()) {
                match result {
                    Ok(part) => tally.add(part),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            tally
        })
    })
}
