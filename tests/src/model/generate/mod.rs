//! Sequences from a seed. The generator looks at the host's tables, so that most of what it sends belongs to flows.

mod error;
mod setting;
mod talk;
mod twist;

use std::net::IpAddr;

use fastrand::Rng;
use lb_common::{
    address::{V4, V6},
    flow::{FLOW_HAIRPIN, FLOW_LOCAL, FLOW_REVERSE, FlowKey},
    host::{Family, Outcome, Tables, verdict::XDP_PASS},
    limit::{ANSWERS_PER_TICK, BUCKETS, FULL_TICKS},
    stat::Stat,
    tcp::{SCTP, TCP, UDP},
};

use super::{Device, Hook, Packet, Step, Tuple};
use setting::{FAMILIES, Setting};

/// Makes up the steps of one sequence.
pub struct Generator {
    random: Rng,
    setting: Setting,
    /// Steps that are decided: the setting at first, later fragments and what follows a packet.
    next: Vec<Step>,
    /// Tuples that clients have used towards frontends.
    talks: Vec<Tuple>,
    left_to_stack: u64,
}

impl Generator {
    /// The sequence of a seed.
    pub fn new(seed: u64) -> Self {
        let mut random = Rng::with_seed(seed);
        let (setting, mut next) = Setting::new(&mut random);
        next.reverse();
        Self { random, setting, next, talks: Vec::new(), left_to_stack: 0 }
    }

    /// The next step, given the host's tables.
    pub fn step(&mut self, tables: &Tables) -> Step {
        if let Some(step) = self.next.pop() {
            return step;
        }
        match self.random.u32(0..1000) {
            0..30 => Step::Wait(self.wait()),
            30..36 => Step::Epoch(tables.epoch.wrapping_add(1)),
            36..60 => self.setting.change(&mut self.random),
            60..85 => match self.half(tables) {
                Some((tuple, _)) => Step::Evict(tuple),
                None => Step::Wait(1),
            },
            85..87 => Step::Spent(
                self.random.u32(..BUCKETS),
                self.random.u32(ANSWERS_PER_TICK * FULL_TICKS - 2..=ANSWERS_PER_TICK * FULL_TICKS),
            ),
            87..110 => self.error(tables),
            110..125 => self.echo(),
            125..160 => self.encapsulated(tables),
            160..200 => self.stray(),
            200..400 => self.talk(),
            _ => self.flow_packet(tables),
        }
    }

    /// What becomes of a packet may be the next packet: one that XDP left to the stack goes on to tcx.
    pub fn heed(&mut self, step: &Step, outcome: Option<&Outcome>, tables: &Tables) {
        let (Step::Packet(packet), Some(outcome)) = (step, outcome) else { return };
        let left = std::mem::replace(&mut self.left_to_stack, tables.events(Stat::LeftToStack));
        let is_left = packet.hook == Hook::Xdp && outcome.verdict == XDP_PASS;
        let chance = if self.left_to_stack > left { 0.9 } else { 0.1 };
        if is_left && self.random.f64() < chance {
            let mut frame = outcome.frame.clone();
            frame[..6].fill(0);
            self.next.push(packet_at(Hook::Ingress, Device::Loopback, frame));
        }
    }

    fn wait(&mut self) -> u32 {
        match self.random.u8(0..20) {
            0..10 => self.random.u32(1..5),
            10..15 => self.random.u32(200..300),
            15..18 => self.random.u32(300..12_000),
            18 => self.random.u32(12_000..500_000),
            _ => self.random.u32(..),
        }
    }

    /// A half of a flow that the tables have, and its flags.
    fn half(&mut self, tables: &Tables) -> Option<(Tuple, u8)> {
        let random = &mut self.random;
        if random.bool() { pick::<V4>(random, tables) } else { pick::<V6>(random, tables) }
    }

    /// A packet of a flow, mostly at the hook that handles it.
    fn flow_packet(&mut self, tables: &Tables) -> Step {
        let old = !self.talks.is_empty() && self.random.u8(0..10) == 0;
        let (tuple, flags) = match self.half(tables) {
            Some(half) if !old => half,
            _ => match self.random.choice(&self.talks) {
                Some(tuple) => (*tuple, 0),
                None => return self.talk(),
            },
        };
        let reply = flags & FLOW_REVERSE != 0;
        let at_egress = reply && flags & (FLOW_LOCAL | FLOW_HAIRPIN) != 0;
        let hook = if at_egress { Hook::Egress } else { Hook::Xdp };
        self.packet_of(tuple, hook, reply)
    }

    /// A frame at a hook, sometimes at another one.
    fn at(&mut self, hook: Hook, packet: Vec<u8>) -> Step {
        let hook = match self.random.u8(0..40) {
            0 => Hook::Egress,
            1..4 => Hook::Ingress,
            _ => hook,
        };
        let devices = [Device::Loopback, Device::Loopback, Device::Loopback, Device::Up, Device::Down];
        let by = if hook == Hook::Xdp { self.one_of(&devices) } else { Device::Loopback };
        let frame = self.twisted(packet);
        packet_at(hook, by, frame)
    }

    fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.random.usize(..choices.len())]
    }

    fn payload(&mut self, most: usize) -> Vec<u8> {
        let mut payload = vec![0; self.random.usize(..=most)];
        self.random.fill(&mut payload);
        payload
    }
}

/// A packet; at tcx long enough for `test_run`, which takes no skb without a whole IP header.
fn packet_at(hook: Hook, by: Device, mut frame: Vec<u8>) -> Step {
    if hook != Hook::Xdp {
        frame.resize(frame.len().max(14 + 40), 0);
    }
    Step::Packet(Packet { hook, by, frame })
}

/// Some entry of a family's flow table.
fn pick<A: Family>(random: &mut Rng, tables: &Tables) -> Option<(Tuple, u8)> {
    let flows = A::of(tables).flows.borrow();
    // From a random key on: counting through the table would take longer than the packet.
    let octet = random.u8(..);
    let from = FlowKey::<A> { src_port_be: random.u16(..), ..FlowKey::default() };
    let words = [0, 0, 0, u32::from_ne_bytes([octet; 4])];
    let from = FlowKey { src_be: A::from_address(lb_common::address::Address { words_be: words }), ..from };
    let found = flows.range(from..).next().or_else(|| flows.iter().next())?;
    Some((Tuple::of(found.0), found.1.flags))
}

const PROTOCOLS: [u8; 4] = [TCP, TCP, UDP, SCTP];

/// Parses an address of the generator's own.
fn address(text: &str) -> IpAddr {
    text.parse().unwrap_or(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED))
}
