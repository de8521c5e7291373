//! Records of halves, from which a half that the flow table lost is put back.

use core::sync::atomic::{Ordering, compiler_fence};

use super::{FLOW_KIND, Flow, FlowKey};
use crate::{
    address::{IpAddress, V4},
    checksum,
    tcp::{self, State},
    time::{Tick, is_before, since},
};

/// Ways of a [`RestoreBucket`].
pub const RESTORE_WAYS: usize = 2;

/// A flow half as `restore` keeps it, 48 bytes for IPv4, 96 for IPv6. All zero where free.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct RestoreRecord<A = V4> {
    /// The half's key.
    pub key: FlowKey<A>,
    /// [`Flow::src_be`].
    pub src_be: A,
    /// [`Flow::dst_be`].
    pub dst_be: A,
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

impl<A: IpAddress> RestoreRecord<A> {
    /// The record of `flow` under `key`.
    pub fn of(key: &FlowKey<A>, flow: &Flow<A>, now: Tick) -> Self {
        let mut record = Self::default();
        record.write(key, flow, now);
        record
    }

    /// Makes this the record of `flow` under `key`, field by field: a record built elsewhere would not fit on a BPF
    /// program's stack beside the flow.
    #[inline(always)]
    pub fn write(&mut self, key: &FlowKey<A>, flow: &Flow<A>, now: Tick) {
        self.key = FlowKey { src_be: key.src_be.apart(), dst_be: key.dst_be.apart(), ..*key };
        self.src_be = flow.src_be.apart();
        self.dst_be = flow.dst_be.apart();
        self.src_port_be = flow.src_port_be;
        self.dst_port_be = flow.dst_port_be;
        self.backend = flow.backend;
        self.generation = flow.generation;
        self.service = flow.service;
        self.written = now;
        self.state = flow.state;
        self.flags = flow.flags & FLOW_KIND;
        // The sum reads again what was written: kept, it would not fit on a BPF program's stack.
        compiler_fence(Ordering::SeqCst);
        self.check = self.sum();
    }

    #[inline(always)]
    fn sum(&self) -> u16 {
        let pair = |high: u16, low: u16| u64::from(high) << 16 | u64::from(low);
        let ports =
            pair(self.key.src_port_be, self.key.dst_port_be) + pair(self.src_port_be, self.dst_port_be) * 3;
        let rest = weigh(self.key.src_be) * 5
            + weigh(self.key.dst_be) * 7
            + weigh(self.src_be) * 11
            + weigh(self.dst_be) * 13
            + u64::from(self.backend) * 17
            + u64::from(self.generation) * 19
            + u64::from(self.service) * 23
            + u64::from(self.written) * 29
            + pair(u16::from(self.state), u16::from(self.flags)) * 31;
        checksum::fold(ports + rest)
    }

    /// The tuple after translation.
    #[inline(always)]
    fn translated(&self, protocol: u32) -> FlowKey<A> {
        FlowKey {
            src_be: self.src_be,
            dst_be: self.dst_be,
            src_port_be: self.src_port_be,
            dst_port_be: self.dst_port_be,
            protocol,
        }
    }

    /// True where the record is whole, of `key`, and not older than its state allows.
    #[inline(always)]
    fn is_alive(&self, key: &FlowKey<A>, now: Tick) -> bool {
        let whole = self.key.difference(key) | u32::from(self.check ^ self.sum()) == 0;
        whole && since(now, self.written) <= tcp::idle_timeout(key.protocol as u8, self.state)
    }

    /// True where the record is of a living flow that turns `key` into something else than replies to `own`.
    #[inline(always)]
    fn is_of_another(&self, key: &FlowKey<A>, own: &FlowKey<A>, now: Tick) -> bool {
        let difference = self.src_be.difference(own.dst_be)
            | self.dst_be.difference(own.src_be)
            | u32::from(self.src_port_be ^ own.dst_port_be)
            | u32::from(self.dst_port_be ^ own.src_port_be);
        difference != 0 && self.is_alive(key, now)
    }

    /// The half that the record describes, where it is whole, for `key`, and not older than its state allows.
    pub fn restore(&self, key: &FlowKey<A>, now: Tick) -> Option<Flow<A>> {
        let mut flow = Flow::default();
        self.write_flow(key, now, &mut flow).then_some(flow)
    }

    /// As [`restore`](Self::restore), into `flow`; false, and nothing written, where there is no such half.
    #[inline(always)]
    pub fn write_flow(&self, key: &FlowKey<A>, now: Tick, flow: &mut Flow<A>) -> bool {
        if !self.is_alive(key, now) {
            return false;
        }
        flow.translate(key, &self.translated(key.protocol));
        flow.forget_hop();
        flow.last_seen = now;
        flow.backend = self.backend;
        flow.generation = self.generation;
        flow.service = self.service;
        flow.opened = self.written;
        flow.state = self.state;
        flow.flags = self.flags;
        true
    }
}

/// An address as one number of few enough bits that the sum of all cannot overflow.
#[inline(always)]
fn weigh<A: IpAddress>(address: A) -> u64 {
    let [a, b, c, d] = address.words();
    u64::from(a) + u64::from(b) * 3 + u64::from(c) * 5 + u64::from(d)
}

/// The records that share a hash, 96 bytes for IPv4, 192 for IPv6.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct RestoreBucket<A = V4> {
    /// The records.
    pub ways: [RestoreRecord<A>; RESTORE_WAYS],
}

impl<A: IpAddress> RestoreBucket<A> {
    /// Writes the half for `key` into `flow`, if a record has it.
    #[inline(always)]
    pub fn find(&self, key: &FlowKey<A>, now: Tick, flow: &mut Flow<A>) -> bool {
        self.ways[0].write_flow(key, now, flow) || self.ways[1].write_flow(key, now, flow)
    }

    /// True where a living flow has the tuple `key` and turns it into something else than replies to `own`.
    #[inline(always)]
    pub fn is_taken(&self, key: &FlowKey<A>, own: &FlowKey<A>, now: Tick) -> bool {
        // What was loaded for one record is loaded again for the next: kept, it would not fit on a BPF program's stack.
        compiler_fence(Ordering::SeqCst);
        let first = self.ways[0].is_of_another(key, own, now);
        compiler_fence(Ordering::SeqCst);
        first || self.ways[1].is_of_another(key, own, now)
    }

    /// Keeps the record of a half: in place of an older one of the same tuple, else of the one that was written longer
    /// ago.
    #[inline(always)]
    pub fn keep(&mut self, key: &FlowKey<A>, flow: &Flow<A>, now: Tick) {
        let same = |way: &RestoreRecord<A>| way.key.difference(key) == 0;
        let older = is_before(self.ways[1].written, self.ways[0].written, now);
        let second = same(&self.ways[1]) | (!same(&self.ways[0]) & older);
        self.ways[usize::from(second)].write(key, flow, now);
    }
}
