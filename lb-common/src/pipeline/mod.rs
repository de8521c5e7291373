//! The packet path, once: XDP, tcx ingress, tcx egress and the host's tests all run this code.
//!
//! ```text
//! run → Packet::parse → filter → flow, found or restored → (now and then) tend → send
//!                              → none → service → open                         → send
//!                              → refused → answer (reset, ICMP error)
//! ```
//!
//! Which packet is finished where (see ARCHITECTURE.md): XDP never hands the stack a packet whose source it changed.
//! It either finishes a packet or leaves it untouched for tcx ingress.

mod answer;
mod bytes;
mod follow;
mod open;

pub use answer::{IcmpError, icmp_header, ip_header};
pub use bytes::Bytes;

use follow::Tended;

use crate::{
    address::IpAddress,
    backend::Backend,
    drop_reason::DropReason,
    filter::Bit,
    flow::{Flow, FlowKey, RestoreRecord},
    hash,
    interface::Interface,
    packet::Packet,
    service::{SERVICE_CATCH_ALL, Service, ServiceKey},
    stat::Stat,
    time::Tick,
    trace::Step,
};

/// Where the program is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// XDP on an uplink.
    Xdp,
    /// tcx ingress on an uplink or overlay device.
    TcxIngress,
    /// tcx egress on an uplink.
    TcxEgress,
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Action {
    /// To the node's stack, or on its way out of it.
    Pass,
    /// Dropped, and counted.
    Drop,
    /// Out through [`Verdict::number`].
    Forward,
    /// Turned into an answer; back out of the interface it came in by.
    Answer,
    /// Refused for the [`DropReason`] in [`Verdict::number`], and its sender told so where the protocol has a way to.
    /// Never leaves [`run`].
    Reject,
}

/// An action and its number (interface or reason), in one word.
///
/// Not an enum with fields: LLVM copies the undefined fields of other variants along, and the verifier refuses to read
/// a register that was never written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict(u64);

impl Verdict {
    /// To the stack.
    pub const PASS: Self = Self::new(Action::Pass, 0);
    /// Dropped.
    pub const DROP: Self = Self::new(Action::Drop, 0);
    /// Answered.
    pub const ANSWER: Self = Self::new(Action::Answer, 0);

    #[inline(always)]
    const fn new(action: Action, number: u32) -> Self {
        Self((number as u64) << 8 | action as u64)
    }

    /// Out through an interface.
    #[inline(always)]
    pub const fn forward(ifindex: u32) -> Self {
        Self::new(Action::Forward, ifindex)
    }

    #[inline(always)]
    const fn reject(reason: DropReason) -> Self {
        Self::new(Action::Reject, reason as u32)
    }

    /// The action.
    #[inline(always)]
    pub const fn action(self) -> Action {
        match self.0 as u8 {
            1 => Action::Drop,
            2 => Action::Forward,
            3 => Action::Answer,
            4 => Action::Reject,
            _ => Action::Pass,
        }
    }

    /// Interface of [`Action::Forward`], reason of [`Action::Reject`].
    #[inline(always)]
    pub const fn number(self) -> u32 {
        (self.0 >> 8) as u32
    }
}

/// A route as `bpf_fib_lookup` reports it.
#[derive(Clone, Copy, Debug)]
pub struct Route<A> {
    /// `BPF_FIB_LKUP_RET_*`, or negative.
    pub code: i64,
    /// Interface to send through.
    pub ifindex: u32,
    /// Destination and source MAC, as they stand at the head of a frame.
    pub macs: [u32; 3],
    /// Preferred source of the route, network byte order; 0 where the kernel does not say.
    pub source_be: A,
}

/// `BPF_FIB_LKUP_RET_SUCCESS`.
pub const FIB_SUCCESS: i64 = 0;
/// `BPF_FIB_LKUP_RET_NO_NEIGH`: the route is known, the next hop's MAC is not.
pub const FIB_NO_NEIGHBOUR: i64 = 7;
/// `BPF_FIB_LKUP_RET_FRAG_NEEDED`: the route is known, this packet is longer than its MTU.
pub const FIB_FRAG_NEEDED: i64 = 8;

impl<A> Route<A> {
    /// True where the interface to send through is known.
    #[inline(always)]
    const fn is_known(&self) -> bool {
        matches!(self.code, FIB_SUCCESS | FIB_NO_NEIGHBOUR | FIB_FRAG_NEEDED)
    }
}

/// Why a flow half was not inserted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InsertError {
    /// The key is taken.
    Exists,
    /// The table did not take it.
    Full,
}

/// Packet, maps and helpers, as each hook of the kernel (or a test) provides them.
#[expect(clippy::len_without_is_empty, reason = "a packet is never empty")]
pub trait Hook {
    /// Where this program is attached.
    const STAGE: Stage;
    /// Offset of the IPv4 header: 14, or 0 on devices without a link-layer header.
    const L3: usize;
    /// Addresses of the packets that this hook sees.
    type Address: IpAddress;
    /// Reference to a flow half in the table.
    type Half: Copy;

    /// `length` bytes of the packet from `offset` on; None where it is shorter.
    fn bytes(&self, offset: usize, length: usize) -> Option<Bytes>;
    /// Bytes that [`bytes`](Self::bytes) can reach.
    fn linear_len(&self) -> usize;
    /// Packet length in bytes, from the link-layer header on, including fragments that `bytes` cannot reach.
    fn len(&self) -> usize;
    /// Interface that the packet came in by (or leaves by, at egress).
    fn ifindex(&self) -> u32;
    /// Now.
    fn now(&self) -> Tick;
    /// Lowest and highest SNAT port.
    fn snat_ports(&self) -> (u16, u16);
    /// The epoch, see [`Runtime`](crate::runtime::Runtime).
    fn epoch(&self) -> u32;

    /// A bit of the filter.
    fn filter(&self, bit: Bit) -> bool;
    /// Finds a half.
    fn flow(&self, key: &FlowKey<Self::Address>) -> Option<Self::Half>;
    /// Copies a half out of the table.
    fn read(&self, half: Self::Half) -> Flow<Self::Address>;
    /// Writes back what may change in a half: hop, epoch, last use, state, flags.
    fn write(&self, half: Self::Half, flow: &Flow<Self::Address>);
    /// Adds a half, only where the key is free.
    ///
    /// # Errors
    /// Why not.
    fn insert_new(&self, key: &FlowKey<Self::Address>, flow: &Flow<Self::Address>)
    -> Result<(), InsertError>;
    /// Adds or replaces a half.
    ///
    /// # Errors
    /// Why not.
    fn insert(&self, key: &FlowKey<Self::Address>, flow: &Flow<Self::Address>) -> Result<(), InsertError>;
    /// Removes a half; false where there was none.
    fn remove(&self, key: &FlowKey<Self::Address>) -> bool;
    /// Finds what `restore` knows of a half, see [`RestoreBucket::find`](crate::flow::RestoreBucket::find).
    fn find_record(&self, hash: u64, key: &FlowKey<Self::Address>, now: Tick) -> Option<Flow<Self::Address>>;
    /// Keeps a record, see [`RestoreBucket::keep`](crate::flow::RestoreBucket::keep).
    fn keep_record(&self, hash: u64, record: RestoreRecord<Self::Address>, now: Tick);

    /// Finds a frontend.
    fn service(&self, key: &ServiceKey) -> Option<Service>;
    /// A ring's slot.
    fn ring(&self, chunk: u32, slot: u32) -> Option<u32>;
    /// An endpoint.
    fn backend(&self, index: u32) -> Option<Backend>;
    /// A device.
    fn interface(&self, ifindex: u32) -> Option<Interface>;
    /// Looks a route up, from the interface that the packet came in by. Addresses in network byte order; source 0 asks
    /// for the route's preferred source.
    fn route(
        &self,
        src_be: Self::Address,
        dst_be: Self::Address,
        packet: &Packet<Self::Address>,
    ) -> Route<Self::Address>;

    /// Takes a token of the answers' rate limit.
    fn take_answer_token(&self, now: Tick) -> bool;
    /// Counts a packet of a service and its bytes.
    fn count_packet(&self, service: u32, reply: bool, bytes: u64);
    /// Counts a new flow of a service.
    fn count_flow(&self, service: u32);
    /// Counts a drop by the number of its [`DropReason`].
    fn count_drop(&self, reason: u32);
    /// Counts an event.
    fn count(&self, stat: Stat);
    /// Notes a step of the trace; nothing outside a tracing build.
    fn step(&self, step: Step, a: u32, b: u32, c: u32) {
        self.step_between(step, [a, b, c], Self::Address::NONE, Self::Address::NONE);
    }
    /// As [`step`](Self::step), with addresses.
    fn step_between(&self, step: Step, values: [u32; 3], from: Self::Address, to: Self::Address);

    /// Rewrites addresses, ports and checksums; `hop` takes one off the TTL. False where the packet is too short.
    fn rewrite(&mut self, packet: &Packet<Self::Address>, flow: &Flow<Self::Address>, hop: bool) -> bool;
    /// Writes the link-layer addresses of the next hop, where the hook does that itself.
    fn set_macs(&mut self, macs: &[u32; 3]) -> bool;
    /// Makes the packet `bytes` longer between link-layer and IP header, keeping the link-layer header.
    fn grow(&mut self, bytes: u32) -> bool;
    /// Cuts the packet to `length` bytes.
    fn cut(&mut self, length: u32) -> bool;
    /// Stores 16-bit words at an offset.
    fn store<const N: usize>(&mut self, offset: usize, words: &[u16; N]) -> bool;
}

/// Runs one packet through.
#[inline(always)]
pub fn run<H: Hook>(hook: &mut H) -> Verdict {
    let Some(packet) = Packet::parse(hook) else {
        hook.step(Step::NotOurs, 0, 0, 0);
        return Verdict::PASS;
    };
    let verdict = decide(hook, &packet);
    match verdict.action() {
        Action::Reject => answer::answer(hook, &packet, verdict.number()),
        _ => verdict,
    }
}

#[inline(always)]
fn decide<H: Hook>(hook: &mut H, packet: &Packet<H::Address>) -> Verdict {
    if !may_be_ours(hook, packet) {
        hook.step(Step::Filtered, 0, 0, 0);
        return Verdict::PASS;
    }
    let now = hook.now();
    let found = hook.flow(&packet.key);
    let mut service = None;
    let half = if found.is_some() {
        found
    } else {
        hook.step(Step::FlowMiss, 0, 0, 0);
        service = frontend(hook, packet);
        restored(hook, packet, service.is_some(), now)
    };
    if let Some(half) = half {
        let flow = hook.read(half);
        if !follow::belongs_here::<H>(&flow) {
            return Verdict::PASS;
        }
        hook.step(Step::FlowHit, u32::from(flow.flags), flow.backend, flow.service);
        if follow::is_steady(hook, packet, &flow, now) {
            return follow::send(hook, packet, &flow);
        }
        match follow::tend(hook, packet, half, flow, now) {
            Tended::Goes(flow) => return follow::send(hook, packet, &flow),
            Tended::Done(verdict) => return verdict,
            Tended::Over => service = frontend(hook, packet),
        }
    }
    match service {
        Some(_) if packet.is_martian() || is_for_another(hook) => Verdict::PASS,
        Some(service) => {
            hook.step(Step::ServiceHit, service.id, service.flags, service.ring_size);
            open::open(hook, packet, &service, now)
        }
        None => no_frontend(hook, packet),
    }
}

/// False where the filter rules a packet out.
#[inline(always)]
fn may_be_ours<H: Hook>(hook: &H, packet: &Packet<H::Address>) -> bool {
    if H::STAGE == Stage::TcxEgress {
        return hook.filter(Bit::endpoint_port(packet.key.src_port_be));
    }
    is_snat_port(hook, packet)
        || hook.filter(Bit::frontend_port(packet.key.dst_port_be))
        || hook.filter(Bit::vip(packet.key.dst_be))
}

/// True where the destination port is one that replies to SNAT come back to.
#[inline(always)]
fn is_snat_port<H: Hook>(hook: &H, packet: &Packet<H::Address>) -> bool {
    let (min, max) = hook.snat_ports();
    let port = u16::from_be(packet.key.dst_port_be);
    port >= min && port <= max
}

/// The service that the packet is addressed to. At egress nothing is.
#[inline(always)]
fn frontend<H: Hook>(hook: &H, packet: &Packet<H::Address>) -> Option<Service> {
    if H::STAGE == Stage::TcxEgress {
        return None;
    }
    hook.service(&ServiceKey::new(packet.key.dst_be.address(), packet.key.dst_port_be, packet.protocol))
}

/// A half that the table lost, put back from its record. Looked for only where a packet can belong to a flow of ours:
/// at egress, towards a frontend, and towards a SNAT port.
#[inline(always)]
fn restored<H: Hook>(
    hook: &H,
    packet: &Packet<H::Address>,
    has_frontend: bool,
    now: Tick,
) -> Option<H::Half> {
    if packet.opens() || !(H::STAGE == Stage::TcxEgress || has_frontend || is_snat_port(hook, packet)) {
        return None;
    }
    let flow = hook.find_record(hash::flow(&packet.key), &packet.key, now)?;
    hook.step(Step::FlowRestored, u32::from(flow.flags), flow.backend, 0);
    hook.insert(&packet.key, &flow).ok()?;
    hook.count(Stat::HalfRestored);
    hook.flow(&packet.key)
}

/// A destination without a frontend: the unknown port of a VIP, or not ours.
#[inline(always)]
fn no_frontend<H: Hook>(hook: &H, packet: &Packet<H::Address>) -> Verdict {
    if H::STAGE == Stage::TcxEgress {
        return Verdict::PASS;
    }
    hook.step(Step::ServiceMiss, 0, 0, 0);
    match hook.service(&ServiceKey::catch_all(packet.key.dst_be.address())) {
        Some(service)
            if service.flags & SERVICE_CATCH_ALL != 0 && !packet.is_martian() && !is_for_another(hook) =>
        {
            hook.step(Step::CatchAll, 0, 0, 0);
            Verdict::reject(DropReason::UnknownPort)
        }
        _ => Verdict::PASS,
    }
}

/// True where the frame is addressed to another station and only reached us because a bridge flooded it.
#[inline(always)]
fn is_for_another<H: Hook>(hook: &H) -> bool {
    if H::L3 == 0 {
        return false;
    }
    let (Some(interface), Some(frame)) = (hook.interface(hook.ifindex()), hook.bytes(0, 6)) else {
        return false;
    };
    let own = interface.mac;
    let own = [
        u16::from_ne_bytes([own[0], own[1]]),
        u16::from_ne_bytes([own[2], own[3]]),
        u16::from_ne_bytes([own[4], own[5]]),
    ];
    let known = own[0] | own[1] | own[2] != 0;
    known && (own[0] != frame.u16(0) || own[1] != frame.u16(2) || own[2] != frame.u16(4))
}

/// Counts a drop.
#[inline(always)]
fn drop<H: Hook>(hook: &H, reason: DropReason) -> Verdict {
    hook.count_drop(reason as u32);
    hook.step(Step::Drop, reason as u32, 0, 0);
    Verdict::DROP
}
