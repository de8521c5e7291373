//! ICMP errors about packets of flows.

use lb_common::host::Tables;

use super::{FAMILIES, Generator, address};
use crate::model::{
    Hook, Step, Tuple,
    frame::{self, ICMP, ICMPV6},
};
use lb_common::flow::{FLOW_HAIRPIN, FLOW_LOCAL, FLOW_REVERSE};

impl Generator {
    /// An error about a packet of a flow, from the other end or from a router on the way.
    pub(super) fn error(&mut self, tables: &Tables) -> Step {
        // A half's key is what replies carry: the quoted packet went the other way.
        let (reply, flags) = match self.half(tables) {
            Some(half) => half,
            None => return self.talk(),
        };
        let quoted = reply.reversed();
        let at_egress = flags & FLOW_REVERSE != 0 && flags & (FLOW_LOCAL | FLOW_HAIRPIN) != 0;
        let v6 = quoted.src.0.is_ipv6();
        let family = &FAMILIES[usize::from(v6)];
        let from = if self.random.bool() { quoted.dst.0 } else { address(self.one_of(&family.clients)) };
        let to = if self.random.u8(0..10) > 0 { quoted.src.0 } else { address(self.one_of(&family.vips)) };
        let inner = self.quoted(quoted);
        let ip = self.ip(Tuple { src: (from, 0), dst: (to, 0), protocol: 0 });
        let kinds: &[(u8, u8)] =
            if v6 { &[(1, 4), (2, 0), (3, 0), (4, 1)] } else { &[(3, 3), (3, 4), (11, 0), (12, 0), (5, 1)] };
        let (kind, code) = self.one_of(kinds);
        let message = frame::icmp(&ip, kind, code, self.random.u32(0..2000), &inner);
        let protocol = if v6 { ICMPV6 } else { ICMP };
        self.at(if at_egress { Hook::Egress } else { Hook::Xdp }, ip.packet(protocol, &message))
    }

    /// As much of a packet as an error quotes.
    fn quoted(&mut self, tuple: Tuple) -> Vec<u8> {
        let ip = self.ip(tuple);
        let payload = self.payload(40);
        let ports = (tuple.src.1, tuple.dst.1);
        let segment = match tuple.protocol {
            6 => frame::tcp(&ip, ports, 0x10, self.random.u32(..), &payload),
            132 => frame::sctp(ports, 0, 5, &payload),
            _ => frame::udp(&ip, ports, self.random.u8(0..4) > 0, &payload),
        };
        let mut packet = ip.packet(tuple.protocol, &segment);
        match self.random.u8(0..6) {
            0 => packet.truncate(packet.len() - segment.len() + 8),
            1 => packet.truncate(self.random.usize(..=packet.len())),
            _ => {}
        }
        packet
    }
}
