//! Words and flags of `sluice trace`.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

use clap::{Args, ValueEnum, value_parser};
use lb_common::tcp::flag;

use super::packet::Packet;
use crate::cli::{agent_flags::SnatPortsFlag, args::Report};

/// `sluice trace`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  sluice trace tcp 198.51.100.7:40000 203.0.113.10:80\n  sluice trace udp \
                  [2001:db8::7]:40000 [2001:db8:f::10]:53 --vlan 100\n  sluice trace icmp 198.51.100.7 203.0.113.10"
)]
pub(crate) struct TraceArgs {
    /// Transport protocol; `icmp` is an echo request, of ICMPv6 between IPv6 addresses.
    #[arg(value_enum, ignore_case = true, value_name = "PROTOCOL")]
    pub(crate) protocol: Transport,
    /// The packet's source, address:port or [address]:port; for `icmp` the address alone.
    #[arg(value_name = "SOURCE")]
    pub(crate) source: Place,
    /// The packet's destination, likewise.
    #[arg(value_name = "DESTINATION")]
    pub(crate) destination: Place,
    /// Device the packet comes in by; by default the first that Sluice has a program on.
    #[arg(short, long, value_name = "DEVICE")]
    pub(crate) interface: Option<String>,
    /// VLAN identifiers that the frame carries there, comma-separated, the outer first.
    #[arg(long, value_name = "ID", value_delimiter = ',', value_parser = value_parser!(u16).range(1..=4094))]
    pub(crate) vlan: Vec<u16>,
    /// The packet is a fragment: the `first`, which has the ports, or a `later` one.
    #[arg(long, value_enum, value_name = "WHICH")]
    pub(crate) fragment: Option<Fragment>,
    /// TCP flags of the packet, comma-separated; `syn` opens a connection.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "FLAGS", default_value = "syn")]
    pub(crate) flags: Vec<TcpFlag>,
    /// Source ports.
    #[command(flatten)]
    pub(crate) ports: SnatPortsFlag,
    /// Output format.
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t = Report::Text)]
    pub(crate) output: Report,
}

impl TraceArgs {
    /// The packet that is meant, or what is wrong with the words.
    pub(crate) fn packet(&self) -> Result<Packet, String> {
        let socket = |place: Place, name: &str| match (place.port, self.has_ports()) {
            (Some(port), true) => Ok(SocketAddr::new(place.address, port)),
            (None, false) => Ok(SocketAddr::new(place.address, 0)),
            (None, true) => Err(format!("{name} {} has no port: write {}", place.address, place.with_port())),
            (Some(_), false) => {
                Err(format!("{name}: such a packet has no ports, write {} alone", place.address))
            }
        };
        let (source, destination) =
            (socket(self.source, "SOURCE")?, socket(self.destination, "DESTINATION")?);
        if source.is_ipv4() != destination.is_ipv4() {
            return Err("SOURCE and DESTINATION are of different IP families".to_owned());
        }
        if self.vlan.len() > 2 {
            return Err("a frame carries two VLAN tags at most".to_owned());
        }
        let tcp_flags = match self.protocol {
            Transport::Tcp => self.flags.iter().fold(0, |flags, flag| flags | flag.bit()),
            Transport::Udp | Transport::Sctp | Transport::Icmp => 0,
        };
        Ok(Packet { transport: self.protocol, source, destination, tcp_flags, fragment: self.fragment })
    }

    fn has_ports(&self) -> bool {
        self.protocol != Transport::Icmp && self.fragment != Some(Fragment::Later)
    }
}

/// An address, with a port where the protocol has ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) address: IpAddr,
    pub(crate) port: Option<u16>,
}

impl Place {
    fn with_port(self) -> String {
        match self.address {
            IpAddr::V4(address) => format!("{address}:PORT"),
            IpAddr::V6(address) => format!("[{address}]:PORT"),
        }
    }
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(socket) = text.parse::<SocketAddr>() {
            return Ok(Self { address: socket.ip(), port: Some(socket.port()) });
        }
        match text.parse() {
            Ok(address) => Ok(Self { address, port: None }),
            Err(_) => Err("write ADDRESS:PORT, [ADDRESS]:PORT for IPv6, or an address alone".to_owned()),
        }
    }
}

/// Transport protocols that can be traced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP, the first packet of an association.
    Sctp,
    /// ICMP echo request.
    Icmp,
}

/// Which fragment of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Fragment {
    /// The one with the transport header.
    First,
    /// Any other.
    Later,
}

impl fmt::Display for Fragment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::First => "first fragment",
            Self::Later => "later fragment",
        })
    }
}

/// TCP header flags that decide something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TcpFlag {
    /// SYN.
    Syn,
    /// ACK.
    Ack,
    /// FIN.
    Fin,
    /// RST.
    Rst,
}

impl TcpFlag {
    /// The flag's bit in byte 13 of the TCP header.
    pub(crate) const fn bit(self) -> u8 {
        match self {
            Self::Syn => flag::SYN,
            Self::Ack => flag::ACK,
            Self::Fin => flag::FIN,
            Self::Rst => flag::RST,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        args: TraceArgs,
    }

    fn packet(line: &str) -> Result<Packet, String> {
        let words = ["trace"].into_iter().chain(line.split(' '));
        Command::try_parse_from(words).map_err(|error| error.to_string())?.args.packet()
    }

    #[test]
    fn a_packet_is_told_by_protocol_source_and_destination_of_either_family() {
        let tcp = packet("tcp 198.51.100.7:40000 203.0.113.10:80").unwrap();
        assert_eq!((tcp.source.port(), tcp.tcp_flags), (40_000, flag::SYN));
        let sctp = packet("sctp [2001:db8::7]:40000 [2001:db8:f::10]:9000 --vlan 100,200").unwrap();
        assert!(sctp.destination.is_ipv6() && sctp.tcp_flags == 0);
        assert_eq!(packet("icmp 2001:db8::7 2001:db8:f::10").unwrap().destination.port(), 0);
        assert!(packet("udp 198.51.100.7 203.0.113.10 --fragment later").is_ok());
    }

    #[test]
    fn what_cannot_be_a_packet_is_refused_with_a_hint() {
        for (line, hint) in [
            ("tcp 198.51.100.7 203.0.113.10:80", "SOURCE 198.51.100.7 has no port: write 198.51.100.7:PORT"),
            ("udp [2001:db8::7]:1 2001:db8:f::10", "write [2001:db8:f::10]:PORT"),
            ("icmp 198.51.100.7:1 203.0.113.10", "write 198.51.100.7 alone"),
            ("tcp 198.51.100.7:1 [2001:db8:f::10]:80", "different IP families"),
            ("tcp here:1 203.0.113.10:80", "[ADDRESS]:PORT"),
            ("tcp 198.51.100.7:1 203.0.113.10:80 --vlan 1,2,3", "two VLAN tags"),
            ("tcp 198.51.100.7:1 203.0.113.10:80 --vlan 4095", "1..=4094"),
            ("tcp 198.51.100.7:1 203.0.113.10:80 --fragment middle", "first, later"),
        ] {
            let error = packet(line).unwrap_err();
            assert!(error.contains(hint), "{line}: {error}");
        }
    }
}
