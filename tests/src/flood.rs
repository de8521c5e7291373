//! Packets that a host sends under addresses that are not its own, as fast as they go.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    os::fd::{AsRawFd, OwnedFd},
};

use lb_common::{
    checksum::fold,
    tcp::{TCP, UDP, flag},
};
use lb_model::object::{IpFamily, Protocol};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrStorage, sendto, socket,
};

use crate::{
    model::frame::{self, Ip},
    netns::Namespace,
    traffic::Target,
};

/// A socket that takes whole IP packets (raw(7)).
#[derive(Debug)]
pub struct RawSocket {
    socket: OwnedFd,
    to: SockaddrStorage,
}

impl RawSocket {
    /// Opens one in a namespace, for packets to an address.
    ///
    /// # Errors
    /// What the kernel answers.
    pub fn open(from: &Namespace, to: IpAddr) -> io::Result<Self> {
        let family = match IpFamily::of(to) {
            IpFamily::Ipv4 => AddressFamily::Inet,
            IpFamily::Ipv6 => AddressFamily::Inet6,
        };
        // `IPPROTO_RAW` says that the packets bring their headers.
        let socket =
            from.enter(|| socket(family, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::Raw))?;
        Ok(Self { socket, to: SockaddrStorage::from(SocketAddr::new(to, 0)) })
    }

    /// Sends a packet. A full queue on the way loses it, as it does any other.
    ///
    /// # Errors
    /// What the kernel answers.
    pub fn send(&self, packet: &[u8]) -> io::Result<()> {
        match sendto(self.socket.as_raw_fd(), packet, &self.to, MsgFlags::empty()) {
            Ok(_) | Err(nix::Error::ENOBUFS) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// First packets of flows from ever new addresses, with sound checksums: SYNs, or datagrams that are answered.
#[derive(Clone, Debug)]
pub struct NewFlows {
    packet: Vec<u8>,
    /// Where the source's last four bytes are.
    source: usize,
    /// Where the source port is.
    port: usize,
    /// Sum of these six bytes, which stays as it is: so does the checksum over them (RFC 1071).
    sum: u64,
    next: u32,
}

/// Of 100.64.0.0/10, and of one network of IPv6.
const SOURCES: [[u8; 16]; 2] = [
    [100, 64, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    [0x20, 1, 0xd, 0xb8, 0, 0xf, 0, 0, 0, 0, 0, 0, 100, 64, 0, 0],
];

impl NewFlows {
    /// Towards a frontend.
    pub fn towards(target: Target) -> Self {
        let [v4, v6] = SOURCES;
        let (src, source, port) = match target.family() {
            IpFamily::Ipv4 => (IpAddr::from([v4[0], v4[1], v4[2], v4[3]]), 12, 20),
            IpFamily::Ipv6 => (IpAddr::from(v6), 20, 40),
        };
        let ip = Ip::new(src, target.address.ip());
        let ports = (40_000, target.address.port());
        let packet = match target.protocol {
            Protocol::Tcp => ip.packet(TCP, &frame::tcp(&ip, ports, flag::SYN, 7, &[])),
            Protocol::Udp | Protocol::Sctp => ip.packet(UDP, &frame::udp(&ip, ports, true, b"who\n")),
        };
        let mut flows = Self { packet, source, port, sum: 0, next: 0 };
        flows.sum = flows.words().into_iter().sum();
        flows
    }

    fn words(&self) -> [u64; 3] {
        [self.source, self.source + 2, self.port]
            .map(|at| u64::from(u16::from_be_bytes([self.packet[at], self.packet[at + 1]])))
    }

    /// The next one. Addresses come again after four million.
    pub fn packet(&mut self) -> &[u8] {
        self.next = (self.next + 1) & 0x3f_ffff;
        let [high, low] = [0x6440 + (self.next >> 16) as u16, self.next as u16];
        let port = fold(self.sum + u64::from(!high) + u64::from(!low));
        for (at, word) in [(self.source, high), (self.source + 2, low), (self.port, port)] {
            self.packet[at..at + 2].copy_from_slice(&word.to_be_bytes());
        }
        &self.packet
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn flows_differ_and_their_checksums_are_sound() {
        for vip in ["203.0.113.10", "2001:db8:cb::10"] {
            for target in [Target::udp(vip.parse().unwrap(), 80), Target::tcp(vip.parse().unwrap(), 80)] {
                let mut flows = NewFlows::towards(target);
                // From the source address on, all words are covered; the pseudo-header's rest never changes.
                let sum = |packet: &[u8], from: usize| {
                    packet[from..]
                        .chunks(2)
                        .map(|word| u64::from(word[0]) << 8 | u64::from(word[1]))
                        .sum::<u64>()
                };
                let first = fold(sum(&flows.packet, flows.source));
                let mut seen = BTreeSet::new();
                for _ in 0..70_000 {
                    let from = flows.source;
                    let packet = flows.packet();
                    assert_eq!(fold(sum(packet, from)), first);
                    assert!(seen.insert(packet[from..from + 4].to_vec()));
                }
            }
        }
    }
}
