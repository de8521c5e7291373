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

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{
    checksum,
    tcp::{self, State},
    time::{Tick, since},
};

/// A 5-tuple as a packet carries it, 16 bytes.
#[repr(C)]
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
)]
pub struct FlowKey {
    /// Source address, network byte order.
    pub src_be: u32,
    /// Destination address, network byte order.
    pub dst_be: u32,
    /// Source port, network byte order.
    pub src_port_be: u16,
    /// Destination port, network byte order.
    pub dst_port_be: u16,
    /// IP protocol number, as 32 bits so that no padding is left.
    pub protocol: u32,
}

impl FlowKey {
    /// A tuple.
    #[inline(always)]
    pub const fn new(src_be: u32, dst_be: u32, src_port_be: u16, dst_port_be: u16, protocol: u8) -> Self {
        Self { src_be, dst_be, src_port_be, dst_port_be, protocol: protocol as u32 }
    }

    /// The tuple of the packets that go the other way.
    #[inline(always)]
    pub const fn reversed(self) -> Self {
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

/// Ticks after which a flow in use stamps itself, looks after its other half and its restore records, and checks its
/// next hop. That costs a packet over a microsecond once its memory is cold, so flows of a packet a second must not pay
/// it each time; the shortest idle time that matters (UDP, one minute) is many times longer.
pub const REFRESH: Tick = crate::time::seconds(4);

/// One half of a flow, 64 bytes: with the hash table's own header and the key before it the kernel keeps a half in two
/// cache lines.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Flow {
    /// Source address after translation, network byte order.
    pub src_be: u32,
    /// Destination address after translation, network byte order.
    pub dst_be: u32,
    /// Source port after translation, network byte order.
    pub src_port_be: u16,
    /// Destination port after translation, network byte order.
    pub dst_port_be: u16,
    /// What the change of addresses does to the IPv4 header checksum, see [`checksum::apply`].
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
    /// Zero.
    pub _pad: [u8; 6],
}

impl Flow {
    /// A half that turns `key` into the tuple `to`.
    #[inline(always)]
    pub fn translating(key: &FlowKey, to: &FlowKey) -> Self {
        let l3_delta = checksum::combine(
            checksum::delta32(key.src_be, to.src_be),
            checksum::delta32(key.dst_be, to.dst_be),
        );
        let ports = checksum::combine(
            checksum::delta16(key.src_port_be, to.src_port_be),
            checksum::delta16(key.dst_port_be, to.dst_port_be),
        );
        Self {
            src_be: to.src_be,
            dst_be: to.dst_be,
            src_port_be: to.src_port_be,
            dst_port_be: to.dst_port_be,
            l3_delta,
            // The pseudo-header covers the addresses too (RFC 9293 §3.1, RFC 768).
            l4_delta: checksum::combine(l3_delta, ports),
            ..Self::default()
        }
    }

    /// The tuple after translation.
    #[inline(always)]
    pub const fn translated(&self, protocol: u32) -> FlowKey {
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
    pub const fn other_key(&self, key: &FlowKey) -> FlowKey {
        self.translated(key.protocol).reversed()
    }

    /// The other half, given this half's key. Its next hop is not known: it is checked on first use.
    #[inline(always)]
    pub fn other(&self, key: &FlowKey) -> Self {
        Self {
            epoch: 0,
            last_seen: self.last_seen,
            backend: self.backend,
            generation: self.generation,
            service: self.service,
            opened: self.opened,
            state: self.state,
            flags: (self.flags ^ FLOW_REVERSE) & (FLOW_REVERSE | FLOW_LOCAL),
            ..Self::translating(&self.other_key(key), &key.reversed())
        }
    }

    /// True where `self` (under some key) is the other half of `half` under `key`.
    #[inline(always)]
    pub const fn is_other_of(&self, half: &Self, key: &FlowKey) -> bool {
        let back = key.reversed();
        self.src_be == back.src_be
            && self.dst_be == back.dst_be
            && self.src_port_be == back.src_port_be
            && self.dst_port_be == back.dst_port_be
            && (self.flags ^ half.flags) & FLOW_REVERSE != 0
    }

    /// True where the flow has been idle longer than its state allows.
    #[inline(always)]
    pub const fn is_over(&self, protocol: u8, now: Tick) -> bool {
        since(now, self.last_seen) > tcp::idle_timeout(protocol, self.state)
    }
}

/// Ways of a [`RestoreBucket`].
pub const RESTORE_WAYS: usize = 2;

/// A flow half as `restore` keeps it, 48 bytes. All zero where free.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct RestoreRecord {
    /// The half's key.
    pub key: FlowKey,
    /// [`Flow::src_be`].
    pub src_be: u32,
    /// [`Flow::dst_be`].
    pub dst_be: u32,
    /// [`Flow::src_port_be`].
    pub src_port_be: u16,
    /// [`Flow::dst_port_be`].
    pub dst_port_be: u16,
    /// [`Flow::backend`].
    pub backend: u32,
    /// [`Flow::generation`].
    pub generation: u32,
    /// [`Flow::service`].
    pub service: u32,
    /// When the record was written.
    pub written: Tick,
    /// [`Flow::state`].
    pub state: State,
    /// [`Flow::flags`].
    pub flags: u8,
    /// Fold of all the rest: two CPUs may write one record at once, and a mixture must not be believed.
    pub check: u16,
}

impl RestoreRecord {
    /// The record of `flow` under `key`.
    #[inline(always)]
    pub fn of(key: &FlowKey, flow: &Flow, now: Tick) -> Self {
        let mut record = Self {
            key: *key,
            src_be: flow.src_be,
            dst_be: flow.dst_be,
            src_port_be: flow.src_port_be,
            dst_port_be: flow.dst_port_be,
            backend: flow.backend,
            generation: flow.generation,
            service: flow.service,
            written: now,
            state: flow.state,
            flags: flow.flags & (FLOW_REVERSE | FLOW_LOCAL),
            check: 0,
        };
        record.check = record.sum();
        record
    }

    #[inline(always)]
    const fn sum(&self) -> u16 {
        let ports = ((self.key.src_port_be as u64) << 16 | self.key.dst_port_be as u64)
            + ((self.src_port_be as u64) << 16 | self.dst_port_be as u64) * 3;
        let rest = self.key.src_be as u64 * 5
            + self.key.dst_be as u64 * 7
            + self.src_be as u64 * 11
            + self.dst_be as u64 * 13
            + self.backend as u64 * 17
            + self.generation as u64 * 19
            + self.service as u64 * 23
            + self.written as u64 * 29
            + ((self.state as u64) << 8 | self.flags as u64) * 31;
        checksum::fold(ports + rest)
    }

    /// The half that the record describes, where it is whole, for `key`, and not older than its state allows.
    #[inline(always)]
    pub fn restore(&self, key: &FlowKey, now: Tick) -> Option<Flow> {
        let whole = self.key.src_be == key.src_be
            && self.key.dst_be == key.dst_be
            && self.key.src_port_be == key.src_port_be
            && self.key.dst_port_be == key.dst_port_be
            && self.key.protocol == key.protocol
            && self.check == self.sum();
        if !whole || since(now, self.written) > tcp::idle_timeout(key.protocol as u8, self.state) {
            return None;
        }
        let to = FlowKey {
            src_be: self.src_be,
            dst_be: self.dst_be,
            src_port_be: self.src_port_be,
            dst_port_be: self.dst_port_be,
            protocol: key.protocol,
        };
        Some(Flow {
            epoch: 0,
            last_seen: now,
            backend: self.backend,
            generation: self.generation,
            service: self.service,
            opened: self.written,
            state: self.state,
            flags: self.flags,
            ..Flow::translating(key, &to)
        })
    }
}

/// The records that share a hash, 96 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct RestoreBucket {
    /// The records.
    pub ways: [RestoreRecord; RESTORE_WAYS],
}

impl RestoreBucket {
    /// The half for `key`, if a record has it.
    #[inline(always)]
    pub fn find(&self, key: &FlowKey, now: Tick) -> Option<Flow> {
        match self.ways[0].restore(key, now) {
            Some(flow) => Some(flow),
            None => self.ways[1].restore(key, now),
        }
    }

    /// Keeps a record: in place of an older one of the same tuple, else of the one that was written longer ago.
    #[inline(always)]
    pub fn keep(&mut self, record: RestoreRecord, now: Tick) {
        let same = |way: &RestoreRecord| {
            way.key.src_be == record.key.src_be
                && way.key.dst_be == record.key.dst_be
                && way.key.src_port_be == record.key.src_port_be
                && way.key.dst_port_be == record.key.dst_port_be
        };
        let second = same(&self.ways[1])
            || (!same(&self.ways[0]) && since(now, self.ways[1].written) > since(now, self.ways[0].written));
        if second {
            self.ways[1] = record;
        } else {
            self.ways[0] = record;
        }
    }
}

#[cfg(test)]
mod tests;
