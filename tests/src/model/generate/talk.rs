//! What clients and endpoints say.

use lb_common::tcp::{SCTP, TCP, UDP, flag};

use super::{FAMILIES, Generator, PROTOCOLS, address};
use crate::model::{
    Hook, Step, Tuple,
    frame::{self, ICMP, ICMPV6, IPIP, IPV6_IN_IP, Ip},
};

use lb_common::host::Tables;

/// SCTP chunk types: data, those that open, close and reset, and some in between (RFC 9260 §3.2).
const CHUNKS: [u8; 9] = [0, 0, 0, 3, 2, 6, 7, 8, 14];
const DATA: u8 = flag::ACK;
const FINISH: u8 = flag::FIN | flag::ACK;
const ACCEPT: u8 = flag::SYN | flag::ACK;
/// TCP flags in the middle of a connection.
const FLAGS: [u8; 10] =
    [DATA, DATA, DATA, DATA, ACCEPT, FINISH, FINISH, flag::RST, flag::RST | flag::ACK, flag::SYN];
const MOST_TALKS: usize = 200;

impl Generator {
    /// A client turns to a frontend.
    pub(super) fn talk(&mut self) -> Step {
        let index = self.random.usize(..self.setting.frontends.len());
        let frontend = &self.setting.frontends[index];
        let (to, protocol) = ((frontend.address, frontend.port), frontend.protocol);
        let family = &FAMILIES[usize::from(to.0.is_ipv6())];
        let clients = if self.random.bool() { &family.clients[..2] } else { &family.clients[..] };
        let client = address(self.one_of(clients));
        // Few ports, so that clients come back and collide.
        let tuple = Tuple { src: (client, 40_000 + self.random.u16(0..30)), dst: to, protocol };
        if self.talks.len() < MOST_TALKS {
            self.talks.push(tuple);
        } else {
            let index = self.random.usize(..MOST_TALKS);
            self.talks[index] = tuple;
        }
        let ip = self.ip(tuple);
        let payload = self.payload(40);
        let opens = self.random.u8(0..8) > 0;
        let segment = match protocol {
            TCP => frame::tcp(&ip, (tuple.src.1, to.1), if opens { flag::SYN } else { DATA }, 1, &payload),
            SCTP => frame::sctp((tuple.src.1, to.1), u8::from(opens), 0, &payload),
            _ => frame::udp(&ip, (tuple.src.1, to.1), self.random.u8(0..6) > 0, &payload),
        };
        self.whole_or_cut(Hook::Xdp, &ip, protocol, &segment)
    }

    /// A packet of a tuple in the middle of its flow.
    pub(super) fn packet_of(&mut self, tuple: Tuple, hook: Hook, reply: bool) -> Step {
        let ip = self.ip(tuple);
        let most = if self.random.u8(0..12) == 0 { 1600 } else { 30 };
        let payload = self.payload(most);
        let segment = self.segment(&ip, tuple, reply, &payload);
        self.whole_or_cut(hook, &ip, tuple.protocol, &segment)
    }

    fn segment(&mut self, ip: &Ip, tuple: Tuple, reply: bool, payload: &[u8]) -> Vec<u8> {
        let ports = (tuple.src.1, tuple.dst.1);
        match tuple.protocol {
            TCP => {
                let flags = self.one_of(&FLAGS);
                // Endpoints seldom open connections.
                let flags = if reply && flags == flag::SYN { ACCEPT } else { flags };
                frame::tcp(ip, ports, flags, self.random.u32(..), payload)
            }
            SCTP => {
                let chunk = self.one_of(&CHUNKS);
                frame::sctp(ports, chunk, self.random.u32(..), payload)
            }
            _ => frame::udp(ip, ports, self.random.u8(0..6) > 0, payload),
        }
    }

    /// A packet, or one fragment of it with the others to follow, in any order.
    fn whole_or_cut(&mut self, hook: Hook, ip: &Ip, protocol: u8, segment: &[u8]) -> Step {
        if self.random.u8(0..16) > 0 {
            return self.at(hook, ip.packet(protocol, segment));
        }
        let (unit, id) = (self.random.u16(1..4), self.random.u32(0..8));
        let mut order: Vec<u16> = (0..3).collect();
        if self.random.bool() {
            self.random.shuffle(&mut order);
        }
        for index in order {
            let packet = ip.fragment_of(protocol, segment, unit, index, id);
            let step = self.at(hook, packet);
            self.next.insert(0, step);
        }
        self.next.pop().unwrap_or(Step::Wait(1))
    }

    /// A header for a tuple, now and then with something odd in it.
    pub(super) fn ip(&mut self, tuple: Tuple) -> Ip {
        let mut ip = Ip::new(tuple.src.0, tuple.dst.0);
        match self.random.u8(0..40) {
            0 => ip.ttl = 0,
            1 => ip.ttl = 1,
            2 => ip.ttl = 2,
            3 => ip.options = self.random.usize(1..=10),
            4 | 5 => {
                for _ in 0..self.random.usize(1..7) {
                    let kind = self.one_of(&[0, 43, 60, 60]);
                    ip.extensions.push((kind, self.random.u8(0..3)));
                }
            }
            // A fragment of one piece (RFC 6946).
            6 => ip.fragment = Some((0, false, self.random.u32(..))),
            _ => {}
        }
        ip
    }

    /// An echo request, or another message that is no error.
    pub(super) fn echo(&mut self) -> Step {
        let v6 = self.random.bool();
        let family = &FAMILIES[usize::from(v6)];
        let ends = [family.vips[0], family.vips[1], family.node[0], family.odd[0]];
        let to = address(self.one_of(&ends));
        let from = address(self.one_of(&family.clients));
        let ip = self.ip(Tuple { src: (from, 0), dst: (to, 0), protocol: 0 });
        let kind = self.one_of(if v6 { &[128, 128, 128, 129, 135] } else { &[8, 8, 8, 0, 13] });
        let payload = self.payload(80);
        let message = frame::icmp(&ip, kind, 0, self.random.u32(..), &payload);
        self.whole_or_cut(Hook::Xdp, &ip, if v6 { ICMPV6 } else { ICMP }, &message)
    }

    /// Something that is nobody's, or that a VIP does not speak.
    pub(super) fn stray(&mut self) -> Step {
        let family = &FAMILIES[self.random.usize(..2)];
        let ends = [&family.vips[..], &family.node, &family.pods[..3], &family.odd].concat();
        let to = address(self.one_of(&ends));
        let sources = [&family.clients[..], &family.odd].concat();
        let from = address(self.one_of(&sources));
        let protocols = [&PROTOCOLS[..], &[ICMP, ICMPV6, IPIP, IPV6_IN_IP, 47, 50, 51, 103]].concat();
        let protocol = self.one_of(&protocols);
        let ports = [80, 81, 443, 8080, 50_000, 60_000];
        let tuple = Tuple { src: (from, self.one_of(&ports)), dst: (to, self.one_of(&ports)), protocol };
        let ip = self.ip(tuple);
        let payload = self.payload(60);
        let segment =
            if frame::has_ports(protocol) { self.segment(&ip, tuple, false, &payload) } else { payload };
        let hook = self.one_of(&[Hook::Xdp, Hook::Xdp, Hook::Ingress, Hook::Egress]);
        self.whole_or_cut(hook, &ip, protocol, &segment)
    }

    /// A packet that another node sends on to this one.
    pub(super) fn encapsulated(&mut self, tables: &Tables) -> Step {
        let inner = match self.random.u8(0..3) {
            0 => self.flow_packet(tables),
            1 => self.error(tables),
            _ => self.talk(),
        };
        let Step::Packet(packet) = inner else { return inner };
        let ethertype = packet.frame.get(12..14);
        let v6 = ethertype == Some(&[0x86, 0xdd]);
        if !v6 && ethertype != Some(&[0x08, 0x00]) {
            return Step::Packet(packet);
        }
        let family = &FAMILIES[usize::from(v6)];
        let from = if self.random.u8(0..8) > 0 { family.nodes[0] } else { self.one_of(&family.clients) };
        let to = if self.random.u8(0..8) > 0 { family.node[1] } else { self.one_of(&family.pods) };
        let ip = self.ip(Tuple { src: (address(from), 0), dst: (address(to), 0), protocol: UDP });
        let protocol = if v6 { IPV6_IN_IP } else { IPIP };
        let protocol = if self.random.u8(0..20) == 0 { self.one_of(&[IPIP, IPV6_IN_IP]) } else { protocol };
        self.at(Hook::Xdp, ip.packet(protocol, &packet.frame[14..]))
    }
}
