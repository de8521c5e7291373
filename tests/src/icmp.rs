//! ICMP as tools of a client use it: `ping`, and the hops of `traceroute`.

use std::{
    io,
    net::{IpAddr, SocketAddr, UdpSocket},
    os::fd::{AsRawFd, OwnedFd},
};

use lb_model::object::IpFamily;
use nix::{
    cmsg_space,
    sys::{
        socket::{
            AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrStorage,
            connect, recvmsg, setsockopt, socket, sockopt,
        },
        time::{TimeVal, TimeValLike},
    },
};

use crate::{
    netns::Namespace,
    pattern,
    traffic::{PATIENCE, Session, Target},
};

/// Type and code of an error of RFC 792 or RFC 4443.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind(pub u8, pub u8);

impl Kind {
    /// The hop limit ran out on the way.
    pub const fn time_exceeded(family: IpFamily) -> Self {
        match family {
            IpFamily::Ipv4 => Self(11, 0),
            IpFamily::Ipv6 => Self(3, 0),
        }
    }

    /// Nobody listens there.
    pub const fn port_unreachable(family: IpFamily) -> Self {
        match family {
            IpFamily::Ipv4 => Self(3, 3),
            IpFamily::Ipv6 => Self(1, 4),
        }
    }
}

/// What became of a datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// A pod answered.
    Answered,
    /// An ICMP error came back, from this address.
    Error(Kind, IpAddr),
}

/// Types of echo request and reply.
const fn echo_types(family: IpFamily) -> (u8, u8) {
    match family {
        IpFamily::Ipv4 => (8, 0),
        IpFamily::Ipv6 => (128, 129),
    }
}

/// A socket that pings an address. The kernel fills in checksum and identifier, and hands over replies to its own
/// requests only (icmp(7)).
fn echo_socket(from: &Namespace, address: IpAddr) -> io::Result<UdpSocket> {
    let (family, protocol) = match IpFamily::of(address) {
        IpFamily::Ipv4 => (AddressFamily::Inet, SockProtocol::Icmp),
        IpFamily::Ipv6 => (AddressFamily::Inet6, SockProtocol::IcmpV6),
    };
    let socket = from.enter(|| -> io::Result<OwnedFd> {
        let socket = socket(family, SockType::Datagram, SockFlag::SOCK_CLOEXEC, protocol)?;
        setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::seconds(PATIENCE.as_secs() as i64))?;
        connect(socket.as_raw_fd(), &SockaddrStorage::from(SocketAddr::new(address, 0)))?;
        Ok(socket)
    })?;
    Ok(UdpSocket::from(socket))
}

/// Sends an echo request of `length` bytes, which must come back as it was.
///
/// # Errors
/// What the socket met, no answer in time, or another answer than that.
pub fn ping(from: &Namespace, address: IpAddr, length: usize) -> io::Result<()> {
    let (request, reply) = echo_types(IpFamily::of(address));
    let socket = echo_socket(from, address)?;
    let mut packet = vec![request, 0, 0, 0, 0, 0, 0, 1];
    packet.extend_from_slice(pattern::at(0, length));
    socket.send(&packet)?;
    let mut buffer = vec![0; packet.len() + 1];
    let got = socket.recv(&mut buffer)?;
    if buffer[0] == reply && buffer[6..got] == packet[6..] {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::InvalidData, format!("no echo but {:02x?}", &buffer[..got.min(16)])))
}

/// Sends echo requests as fast as they go, and waits for no reply.
///
/// # Errors
/// What the socket met.
pub fn flood(from: &Namespace, address: IpAddr, count: u64) -> io::Result<()> {
    let (request, _) = echo_types(IpFamily::of(address));
    let socket = echo_socket(from, address)?;
    (0..count).try_for_each(|_| socket.send(&[request, 0, 0, 0, 0, 0, 0, 1]).map(drop))
}

/// Sends a datagram that may make `hops` hops, as traceroute does.
///
/// # Errors
/// No answer and no ICMP error in time.
pub fn send_hops(from: &Namespace, address: SocketAddr, hops: u8) -> io::Result<Fate> {
    let target = Target::udp(address.ip(), address.port());
    let Session::Udp(socket) = Session::open(from, target)? else {
        return Err(io::ErrorKind::Unsupported.into());
    };
    if target.family() == IpFamily::Ipv4 {
        setsockopt(&socket, sockopt::Ipv4RecvErr, &true)?;
        setsockopt(&socket, sockopt::Ipv4Ttl, &hops.into())?;
    } else {
        setsockopt(&socket, sockopt::Ipv6RecvErr, &true)?;
        setsockopt(&socket, sockopt::Ipv6Ttl, &hops.into())?;
    }
    socket.send(b"who")?;
    match socket.recv(&mut [0; 256]) {
        Ok(_) => Ok(Fate::Answered),
        Err(error) => queued_error(&socket)?.ok_or(error),
    }
}

/// What the socket's error queue holds (ip(7), `IP_RECVERR`).
fn queued_error(socket: &UdpSocket) -> io::Result<Option<Fate>> {
    let mut control = cmsg_space!(libc::sock_extended_err, libc::sockaddr_in6);
    let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
    let message = match recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut [], Some(&mut control), flags) {
        Ok(message) => message,
        Err(nix::Error::EAGAIN) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let fate = message.cmsgs()?.find_map(|control| match control {
        ControlMessageOwned::Ipv4RecvErr(error, Some(offender)) => {
            let offender = u32::from_be(offender.sin_addr.s_addr);
            Some(Fate::Error(Kind(error.ee_type, error.ee_code), IpAddr::V4(offender.into())))
        }
        ControlMessageOwned::Ipv6RecvErr(error, Some(offender)) => {
            let offender = offender.sin6_addr.s6_addr;
            Some(Fate::Error(Kind(error.ee_type, error.ee_code), IpAddr::V6(offender.into())))
        }
        _ => None,
    });
    Ok(fate)
}
