//! What the kernel programs tell `sluice monitor`: flows that open and close, and packets that are dropped.
//!
//! Nothing is told unless a monitor is there, and no more than it asked for: it renews a deadline in the map `monitor`
//! while it lives, and each CPU holds itself to the rate that stands beside it.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{
    address::{Address, IpAddress},
    counters::counters,
    flow::{Flow, FlowKey},
    tcp::{self, State},
    time::Tick,
    workspace::Workspace,
};

/// Bytes of the ring that events go through, a power of two of pages: a tenth of a second at the default rate of ten
/// CPUs.
pub const RING_BYTES: u32 = 1 << 20;

/// What a monitor asks for: the one entry of the map `monitor`, 32 bytes. All zero where none is there.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Monitor {
    /// Events are told until then, in nanoseconds of `CLOCK_MONOTONIC`: one that is killed stops them all the same.
    pub until: u64,
    /// Nanoseconds between two events of a CPU on average.
    pub interval: u64,
    /// Nanoseconds' worth of events that a CPU may tell at once.
    pub burst: u64,
    /// A bit for each [`Kind`] that is asked for.
    pub kinds: u32,
    /// A bit for each [`DropReason`](crate::drop_reason::DropReason) that is asked for.
    pub reasons: u32,
}

impl Monitor {
    /// True where somebody asks for such an event at a time.
    #[inline(always)]
    pub const fn wants(&self, what: What, now: u64) -> bool {
        let (kind, reason) = (what.kind(), what.reason());
        let reason_asked_for = kind != Kind::Drop as u32 || self.reasons >> (reason & 31) & 1 != 0;
        now < self.until && self.kinds >> (kind & 31) & 1 != 0 && reason_asked_for
    }
}

/// One CPU's part of the rate, 24 bytes: the generic cell rate algorithm (ITU-T I.371), which is exact for any rate.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Sampler {
    /// When the next event is due, in nanoseconds of `CLOCK_MONOTONIC`.
    pub due: u64,
    /// Events left out for the rate.
    pub left_out: u64,
    /// Events lost because the ring was full.
    pub lost: u64,
}

impl Sampler {
    /// True where an event may be told; counted where not.
    #[inline(always)]
    pub const fn takes(&mut self, monitor: &Monitor, now: u64) -> bool {
        let due = if self.due > now { self.due } else { now };
        if due - now > monitor.burst {
            self.left_out += 1;
            return false;
        }
        self.due = due + monitor.interval;
        true
    }
}

/// What happened, in one word: a [`Kind`] and its reason. 0 is nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct What(pub u32);

impl What {
    /// An event.
    #[inline(always)]
    pub const fn new(kind: Kind, reason: u32) -> Self {
        Self(kind as u32 | reason << 8)
    }

    /// Whatever the packet in the workspace did to its flow's state, see [`resolved`](Self::resolved).
    pub const CHANGE: Self = Self(u32::MAX);

    /// For [`CHANGE`](Self::CHANGE) what that is: perhaps nothing. Found out here and not where the state changes: a scalar
    /// that lives across calls multiplies the states that the verifier of Linux 6.1 walks through, past its limit.
    #[inline(always)]
    pub const fn resolved<A>(self, workspace: &Workspace<A>) -> Self {
        if self.0 != Self::CHANGE.0 {
            return self;
        }
        Self::closed(workspace.state_before as State, workspace.flow.state)
    }

    /// That a flow is over, where a packet has closed one that was not closed before; else nothing.
    #[inline(always)]
    const fn closed(before: State, now: State) -> Self {
        let newly = tcp::closed_bit(now) & !tcp::closed_bit(before);
        let reset = (now & tcp::RESET) >> tcp::RESET.trailing_zeros();
        // The reasons are neighbours.
        const { assert!(CloseReason::Reset as u32 == CloseReason::Finished as u32 + 1) };
        Self(newly as u32 * (Self::new(Kind::Close, CloseReason::Finished as u32).0 + ((reset as u32) << 8)))
    }

    /// Number of the kind; 0 where nothing happened.
    #[inline(always)]
    pub const fn kind(self) -> u32 {
        self.0 & 0xff
    }

    /// Number of the reason.
    #[inline(always)]
    pub const fn reason(self) -> u32 {
        self.0 >> 8
    }
}

/// Kinds of events.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A flow was opened.
    Open = 1,
    /// A flow is over; the reason is a [`CloseReason`].
    Close,
    /// A packet was dropped, or answered in an endpoint's stead; the reason is a
    /// [`DropReason`](crate::drop_reason::DropReason).
    Drop,
}

impl Kind {
    /// The kind behind a number.
    pub const fn from_u32(number: u32) -> Option<Self> {
        match number {
            1 => Some(Self::Open),
            2 => Some(Self::Close),
            3 => Some(Self::Drop),
            _ => None,
        }
    }
}

counters! {
    /// Why a flow is over.
    CloseReason {
        Finished = "fin",
            "Both sides have sent FIN.";
        Reset = "reset",
            "One side has sent RST.";
        Idle = "idle",
            "Idle for longer than its state allows; noticed when its tuple is used again.";
        EndpointGone = "endpoint-gone",
            "Its endpoint was deleted, and its next packet goes to another one.";
    }
}

/// An event, 104 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Event {
    /// When, in nanoseconds of `CLOCK_MONOTONIC`.
    pub time: u64,
    /// Source of the packet.
    pub src: Address,
    /// Destination of the packet.
    pub dst: Address,
    /// Source after translation; none for a drop.
    pub new_src: Address,
    /// Destination after translation; none for a drop.
    pub new_dst: Address,
    /// Port of `src`, network byte order.
    pub src_port_be: u16,
    /// Port of `dst`, network byte order.
    pub dst_port_be: u16,
    /// Port of `new_src`, network byte order.
    pub new_src_port_be: u16,
    /// Port of `new_dst`, network byte order.
    pub new_dst_port_be: u16,
    /// Service id; 0 for a drop.
    pub service: u32,
    /// Index of the endpoint; 0 for a drop.
    pub backend: u32,
    /// Interface that a flow's packets leave by, 0 for the stack; of a drop the one that the packet came in by.
    pub ifindex: u32,
    /// When the flow was opened.
    pub opened: Tick,
    /// A [`Kind`].
    pub kind: u8,
    /// What the kind says.
    pub reason: u8,
    /// IP protocol number.
    pub protocol: u8,
    /// `FLOW_*` bits of the half that the packet met.
    pub flags: u8,
    /// Zero.
    pub _pad: u32,
}

impl Event {
    /// Reads what a program wrote into the ring; None where that is another release's event.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        Self::read_from_bytes(bytes).ok()
    }

    /// Writes what happened to a packet with the tuple `key`, into an event that is all zero.
    #[inline(always)]
    pub fn describe<A: IpAddress>(&mut self, what: What, key: &FlowKey<A>, ifindex: u32) {
        self.src = key.src_be.apart().address();
        self.dst = key.dst_be.apart().address();
        self.src_port_be = key.src_port_be;
        self.dst_port_be = key.dst_port_be;
        self.ifindex = ifindex;
        self.kind = what.kind() as u8;
        self.reason = what.reason() as u8;
        self.protocol = key.protocol as u8;
    }

    /// Adds the half that the packet met.
    #[inline(always)]
    pub fn add_flow<A: IpAddress>(&mut self, flow: &Flow<A>) {
        self.new_src = flow.src_be.apart().address();
        self.new_dst = flow.dst_be.apart().address();
        self.new_src_port_be = flow.src_port_be;
        self.new_dst_port_be = flow.dst_port_be;
        self.service = flow.service;
        self.backend = flow.backend;
        self.ifindex = flow.ifindex;
        self.opened = flow.opened;
        self.flags = flow.flags;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn monitor() -> Monitor {
        Monitor {
            until: 5 * SECOND,
            interval: SECOND / 100,
            burst: SECOND / 10,
            kinds: 1 << Kind::Drop as u32,
            reasons: 0b10,
        }
    }

    #[test]
    fn nothing_is_told_without_a_monitor_nor_after_its_deadline() {
        assert!(!Monitor::default().wants(What::new(Kind::Open, 0), 0));
        assert!(monitor().wants(What::new(Kind::Drop, 1), 5 * SECOND - 1));
        assert!(!monitor().wants(What::new(Kind::Drop, 1), 5 * SECOND));
    }

    #[test]
    fn kinds_and_reasons_of_drops_are_asked_for_by_bits() {
        assert!(!monitor().wants(What::new(Kind::Open, 0), 0));
        assert!(!monitor().wants(What::new(Kind::Drop, 0), 0));
        let opens = Monitor { kinds: 1 << Kind::Open as u32, reasons: 0, ..monitor() };
        assert!(opens.wants(What::new(Kind::Open, 0), 0));
    }

    #[test]
    fn a_flow_is_over_once_by_two_fins_or_a_reset() {
        const BOTH: State = tcp::CLIENT_FIN | tcp::ENDPOINT_FIN;
        let over = |before, now| CloseReason::from_u32(What::closed(before, now).reason());
        let nothing = What(0);
        assert_eq!(What::closed(tcp::CLIENT_FIN, tcp::REPLIED | tcp::CLIENT_FIN), nothing);
        assert_eq!(over(tcp::CLIENT_FIN, BOTH), Some(CloseReason::Finished));
        assert_eq!(over(tcp::REPLIED, tcp::REPLIED | tcp::RESET), Some(CloseReason::Reset));
        assert_eq!(What::closed(tcp::CLIENT_FIN, BOTH).kind(), Kind::Close as u32);
        assert_eq!(What::closed(BOTH, BOTH | tcp::RESET), nothing);
        for state in 0..=0x0f {
            assert_eq!(tcp::closed_bit(state) == 1, tcp::is_closed(state), "{state:#06b}");
        }
    }

    #[test]
    fn a_burst_is_told_then_the_rate_and_the_rest_is_counted() {
        let (mut sampler, monitor) = (Sampler::default(), monitor());
        let told = (0..1000).filter(|_| sampler.takes(&monitor, SECOND)).count();
        assert_eq!((told, sampler.left_out), (11, 989));
        let told = (0..SECOND / 1_000_000).filter(|ms| sampler.takes(&monitor, SECOND + ms * 1_000_000));
        assert_eq!(told.count(), 99);
    }

    #[test]
    fn an_idle_cpu_saves_no_more_than_a_burst() {
        let (mut sampler, monitor) = (Sampler::default(), monitor());
        assert!(sampler.takes(&monitor, 0));
        assert_eq!((0..1000).filter(|_| sampler.takes(&monitor, 1000 * SECOND)).count(), 11);
    }
}
