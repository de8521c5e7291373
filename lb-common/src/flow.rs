//! Flows: what happens to the packets of a connection, one lookup a packet.
//!
//! A translated connection has two halves, each an entry of the LRU hash `flows`: the forward half under the tuple
//! that the client sends, the reverse half under the tuple that the endpoint sends. Each half holds the whole
//! translation, so the key and value of either are enough to write the other:
//!
//! ```text
//! forward  (client → VIP)          becomes (source → endpoint)      source = client, or the node's SNAT address
//! reverse  (endpoint → source)     becomes (VIP → client)
//! ```
//!
//! An LRU may evict one half and keep the other. A half that is missed is put back from its partner where the
//! partner can be found, else from its record in `restore`, a set-associative array that nothing evicts from but
//! newer flows of the same bucket.

mod restore;

pub use restore::{RESTORE_WAYS, RestoreBucket, RestoreRecord};

use crate::{
    address::{IpAddress, V4, V6},
    checksum,
    tcp::{self, State},
    time::{Tick, since},
};

/// A 5-tuple as a packet carries it: 16 bytes for IPv4, 40 for IPv6.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlowKey<A = V4> {
    /// Source address, network byte order.
    pub src_be: A,
    /// Destination address, network byte order.
    pub dst_be: A,
    /// Source port, network byte order.
    pub src_port_be: u16,
    /// Destination port, network byte order.
    pub dst_port_be: u16,
    /// IP protocol number, as 32 bits so that no padding is left.
    pub protocol: u32,
}

impl<A: IpAddress> FlowKey<A> {
    /// A tuple.
    #[inline(always)]
    pub fn new(src_be: A, dst_be: A, src_port_be: u16, dst_port_be: u16, protocol: u8) -> Self {
        Self { src_be, dst_be, src_port_be, dst_port_be, protocol: u32::from(protocol) }
    }

    /// 0 where the two are equal, see [`IpAddress::difference`].
    #[inline(always)]
    pub fn difference(&self, other: &Self) -> u32 {
        self.src_be.difference(other.src_be)
            | self.dst_be.difference(other.dst_be)
            | u32::from(self.src_port_be ^ other.src_port_be)
            | u32::from(self.dst_port_be ^ other.dst_port_be)
            | (self.protocol ^ other.protocol)
    }

    /// The tuple of the packets that go the other way.
    #[inline(always)]
    pub fn reversed(self) -> Self {
        Self {
            src_be: self.dst_be,
            dst_be: self.src_be,
            src_port_be: self.dst_port_be,
            dst_port_be: self.src_port_be,
            protocol: self.protocol,
        }
    }
}

/// This is the reverse half.
pub const FLOW_REVERSE: u8 = 1 << 0;
/// The endpoint is on this node: the stack delivers, and tcx egress meets the replies.
pub const FLOW_LOCAL: u8 = 1 << 1;
/// The next hop is not known, or XDP cannot send to it: XDP leaves the packet to tcx.
pub const FLOW_VIA_STACK: u8 = 1 << 2;

/// Packets go to the endpoint's node in an outer IP header: `src_be` and `dst_be` are that header's addresses, nothing
/// of the packet itself changes, and there is no reverse half.
pub const FLOW_ENCAPSULATED: u8 = 1 << 3;
/// The endpoint is on this node and so is the client, or the client is the endpoint itself: the source is the node's
/// hairpin address, and tcx egress meets the replies on their way to it.
pub const FLOW_HAIRPIN: u8 = 1 << 4;
/// Frames leave with VLAN tags: `ifindex` is the VLAN device, see [`Interface::tags`](crate::interface::Interface).
pub const FLOW_TAGGED: u8 = 1 << 5;

/// Ticks after which a flow in use stamps itself, looks after its other half and its restore records, and checks its
/// next hop. That costs a packet over a microsecond once its memory is cold, so flows of a packet a second must not pay
/// it each time; the shortest idle time that matters (UDP, one minute) is many times longer.
pub const REFRESH: Tick = crate::time::seconds(4);

/// One half of a flow, 64 bytes for IPv4: with the hash table's own header and the key before it the kernel keeps a half
/// in two cache lines. 88 bytes for IPv6.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Flow<A = V4> {
    /// Source address after translation, network byte order.
    pub src_be: A,
    /// Destination address after translation, network byte order.
    pub dst_be: A,
    /// Source port after translation, network byte order.
    pub src_port_be: u16,
    /// Destination port after translation, network byte order.
    pub dst_port_be: u16,
    /// What the change of addresses does to a checksum over them, see [`checksum::apply`].
    pub l3_delta: u16,
    /// What the change of addresses and ports does to the TCP or UDP checksum.
    pub l4_delta: u16,
    /// Interface to send through; 0 for local flows.
    pub ifindex: u32,
    /// Destination and source MAC of the next hop, as they stand at the head of a frame.
    pub macs: [u32; 3],
    /// [`Runtime::epoch`](crate::runtime::Runtime::epoch) under which endpoint and next hop were last checked.
    pub epoch: u32,
    /// When the flow was last used, give or take [`REFRESH`].
    pub last_seen: Tick,
    /// Index of the endpoint in `backends`.
    pub backend: u32,
    /// The endpoint's [`generation`](crate::backend::Backend::generation) when the flow was opened.
    pub generation: u32,
    /// Service id.
    pub service: u32,
    /// When the flow was opened.
    pub opened: Tick,
    /// State bits of [`tcp`].
    pub state: State,
    /// `FLOW_*` bits.
    pub flags: u8,
    /// Longest IP packet that may be sent on, outer header included; 0 where that is not known.
    pub mtu: u16,
    /// Zero.
    pub _pad: u32,
}

impl<A: IpAddress> Flow<A> {
    /// A half that turns `key` into the tuple `to`.
    #[inline(always)]
    pub fn translating(key: &FlowKey<A>, to: &FlowKey<A>) -> Self {
        let mut flow = Self::default();
        flow.translate(key, to);
        flow
    }

    /// Makes this the half that turns `key` into the tuple `to`.
    #[inline(always)]
    pub fn translate(&mut self, key: &FlowKey<A>, to: &FlowKey<A>) {
        let l3_delta = checksum::combine(
            checksum::delta_address(key.src_be, to.src_be),
            checksum::delta_address(key.dst_be, to.dst_be),
        );
        let ports = checksum::combine(
            checksum::delta16(key.src_port_be, to.src_port_be),
            checksum::delta16(key.dst_port_be, to.dst_port_be),
        );
        self.src_be = to.src_be;
        self.dst_be = to.dst_be;
        self.src_port_be = to.src_port_be;
        self.dst_port_be = to.dst_port_be;
        self.l3_delta = l3_delta;
        // The pseudo-header covers the addresses too (RFC 9293 §3.1, RFC 768).
        self.l4_delta = checksum::combine(l3_delta, ports);
    }

    /// The tuple after translation.
    #[inline(always)]
    pub fn translated(&self, protocol: u32) -> FlowKey<A> {
        FlowKey {
            src_be: self.src_be,
            dst_be: self.dst_be,
            src_port_be: self.src_port_be,
            dst_port_be: self.dst_port_be,
            protocol,
        }
    }

    /// Key of the other half, given this half's key.
    #[inline(always)]
    pub fn other_key(&self, key: &FlowKey<A>) -> FlowKey<A> {
        self.translated(key.protocol).reversed()
    }

    /// The other half, given this half's key.
    #[inline(always)]
    pub fn other(&self, key: &FlowKey<A>) -> Self {
        let mut other = Self::default();
        self.write_other(key, &mut other);
        other
    }

    /// Makes `other` the other half, given this half's key. Its next hop is not known: it is checked on first use.
    #[inline(always)]
    pub fn write_other(&self, key: &FlowKey<A>, other: &mut Self) {
        other.translate(&self.other_key(key), &key.reversed());
        other.forget_hop();
        other.last_seen = self.last_seen;
        other.backend = self.backend;
        other.generation = self.generation;
        other.service = self.service;
        other.opened = self.opened;
        other.state = self.state;
        other.flags = (self.flags ^ FLOW_REVERSE) & FLOW_KIND;
    }

    /// No next hop: it is looked up on first use.
    #[inline(always)]
    fn forget_hop(&mut self) {
        // Constants in a row become a call of `memset`, a loop over bytes on BPF.
        let zero = core::hint::black_box(0);
        (self.ifindex, self.macs, self.epoch) = (zero, [zero; 3], zero);
        (self.mtu, self._pad) = (0, 0);
    }

    /// True where `self` (under some key) is the other half of `half` under `key`.
    #[inline(always)]
    pub fn is_other_of(&self, half: &Self, key: &FlowKey<A>) -> bool {
        let back = key.reversed();
        let difference = self.src_be.difference(back.src_be)
            | self.dst_be.difference(back.dst_be)
            | u32::from(self.src_port_be ^ back.src_port_be)
            | u32::from(self.dst_port_be ^ back.dst_port_be);
        difference == 0 && (self.flags ^ half.flags) & FLOW_REVERSE != 0
    }

    /// The state bit that a client's FIN adds where this node never hears the endpoint: the connection is over for it. What a
    /// client that has closed its side only still sends keeps the flow, until it pauses for [`tcp::timeout::CLOSED`].
    ///
    /// Without a branch, each of which the verifier of Linux 6.1 follows to the end.
    #[inline(always)]
    pub const fn unheard_end(&self) -> State {
        const { assert!(FLOW_ENCAPSULATED >> 1 == tcp::ENDPOINT_FIN && tcp::CLIENT_FIN << 1 == tcp::ENDPOINT_FIN) };
        self.flags >> 1 & self.state << 1 & tcp::ENDPOINT_FIN
    }

    /// True where the flow has been idle longer than its state allows.
    #[inline(always)]
    pub const fn is_over(&self, protocol: u8, now: Tick) -> bool {
        since(now, self.last_seen) > tcp::idle_timeout(protocol, self.state)
    }

    /// True where the flow may lose its source port to another that finds none: nobody confirmed it, and it is silent.
    /// Else a flood from forged addresses would hold every port towards an endpoint for minutes (nf_conntrack's
    /// `early_drop` takes from those that are not assured, too).
    #[inline(always)]
    pub const fn gives_way(&self, now: Tick) -> bool {
        self.state & tcp::CONFIRMED == 0 && since(now, self.last_seen) > tcp::timeout::SCARCE
    }
}

/// The flags that say what a flow is; the others belong to its next hop.
pub const FLOW_KIND: u8 = FLOW_REVERSE | FLOW_LOCAL | FLOW_ENCAPSULATED | FLOW_HAIRPIN;

// The maps hold these byte by byte: no padding, or two equal keys could differ.
const _: () = {
    assert!(size_of::<FlowKey<V4>>() == 16 && size_of::<FlowKey<V6>>() == 40);
    assert!(size_of::<Flow<V4>>() == 64 && size_of::<Flow<V6>>() == 88);
    assert!(size_of::<RestoreRecord<V4>>() == 48 && size_of::<RestoreRecord<V6>>() == 96);
};

#[cfg(test)]
mod tests;
