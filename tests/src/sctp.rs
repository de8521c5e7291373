//! SCTP packets by hand (RFC 9260 §3), over raw sockets: a kernel without the protocol hands them out as they came.

use std::{
    io,
    net::{IpAddr, SocketAddr, UdpSocket},
    os::fd::{AsRawFd, OwnedFd},
};

use lb_model::object::IpFamily;
use nix::sys::{
    socket::{
        AddressFamily, SockFlag, SockProtocol, SockType, SockaddrStorage, bind, setsockopt, socket, sockopt,
    },
    time::{TimeVal, TimeValLike},
};

use crate::{netns::Namespace, traffic::PATIENCE};

/// The chunk that opens an association.
pub const INIT: u8 = 1;
/// Its answer.
pub const INIT_ACK: u8 = 2;
/// A chunk of an association that exists.
pub const DATA: u8 = 0;

/// Length of the common header.
const HEADER: usize = 12;

/// A packet with one chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Source port.
    pub src: u16,
    /// Destination port.
    pub dst: u16,
    /// The chunk's type.
    pub chunk: u8,
    /// What is in the chunk.
    pub payload: Vec<u8>,
}

impl Packet {
    /// Its bytes, with the right checksum.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = [self.src.to_be_bytes(), self.dst.to_be_bytes()].concat();
        bytes.extend_from_slice(&[0, 0, 0, 7, 0, 0, 0, 0, self.chunk, 0]);
        bytes.extend_from_slice(&(self.payload.len() as u16 + 4).to_be_bytes());
        bytes.extend_from_slice(&self.payload);
        let sum = crc32c(&bytes);
        bytes[8..HEADER].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// Reads a packet; None where its checksum is wrong.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let mut zeroed = bytes.to_vec();
        zeroed.get_mut(8..HEADER)?.fill(0);
        let [s0, s1, d0, d1] = *bytes.first_chunk()?;
        let packet = Self {
            src: u16::from_be_bytes([s0, s1]),
            dst: u16::from_be_bytes([d0, d1]),
            chunk: *bytes.get(HEADER)?,
            payload: bytes.get(HEADER + 4..)?.to_vec(),
        };
        (bytes[8..HEADER] == crc32c(&zeroed).to_le_bytes()).then_some(packet)
    }
}

/// The checksum of RFC 9260 appendix A, bit by bit as it is defined there.
fn crc32c(bytes: &[u8]) -> u32 {
    let step = |sum: u32, _| (sum >> 1) ^ (0x82f6_3b78 & 0u32.wrapping_sub(sum & 1));
    !bytes.iter().fold(!0, |sum, byte| (0..8).fold(sum ^ u32::from(*byte), step))
}

/// A raw socket on one address, which sees every SCTP packet for it.
#[derive(Debug)]
pub struct Socket {
    // The standard library has no raw sockets; sending and receiving are the same for this one.
    socket: UdpSocket,
    family: IpFamily,
}

impl Socket {
    /// Opens one.
    ///
    /// # Errors
    /// Where the address is not there, or without CAP_NET_RAW.
    pub fn open(namespace: &Namespace, address: IpAddr) -> io::Result<Self> {
        let family = IpFamily::of(address);
        let domain = match family {
            IpFamily::Ipv4 => AddressFamily::Inet,
            IpFamily::Ipv6 => AddressFamily::Inet6,
        };
        let socket = namespace.enter(|| -> io::Result<OwnedFd> {
            let socket = socket(domain, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::Sctp)?;
            setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::seconds(PATIENCE.as_secs() as i64))?;
            bind(socket.as_raw_fd(), &SockaddrStorage::from(SocketAddr::new(address, 0)))?;
            Ok(socket)
        })?;
        Ok(Self { socket: UdpSocket::from(socket), family })
    }

    /// Sends what is an SCTP packet, or nearly one.
    ///
    /// # Errors
    /// What the socket met.
    pub fn send(&self, bytes: &[u8], to: IpAddr) -> io::Result<()> {
        self.socket.send_to(bytes, SocketAddr::new(to, 0)).map(drop)
    }

    /// The next packet and its sender.
    ///
    /// # Errors
    /// Where none comes in time.
    pub fn receive(&self) -> io::Result<(Vec<u8>, IpAddr)> {
        let mut buffer = vec![0; 65_536];
        let (length, from) = self.socket.recv_from(&mut buffer)?;
        // IPv4 hands out the IP header too (raw(7)), IPv6 does not (RFC 3542 §3).
        let header = if self.family == IpFamily::Ipv4 { usize::from(buffer[0] & 0xf) * 4 } else { 0 };
        Ok((buffer[header..length].to_vec(), from.ip()))
    }
}
