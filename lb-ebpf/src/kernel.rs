//! The maps and helpers that XDP and tcx share, as the pipeline's [`Hook`].

use core::marker::PhantomData;

use aya_ebpf::{
    bindings::{BPF_ANY, BPF_NOEXIST, bpf_fib_lookup},
    helpers::{bpf_ktime_get_coarse_ns, generated::bpf_fib_lookup as fib_lookup},
};
use lb_common::{
    address::IpAddress,
    backend::Backend,
    filter::Bit,
    flow::{Flow, FlowKey, RestoreRecord},
    interface::Interface,
    packet::Packet,
    pipeline::{Bytes, Hook, InsertError, Route, Stage},
    ring::CHUNK_SLOTS,
    service::{Service, ServiceKey},
    stat::{ServiceStats, Stat},
    time::{self, Tick},
    trace::{Step, TraceStep},
};

use crate::{family::Family, maps};

/// `BPF_FIB_LOOKUP_SRC` (kernel 6.7): report the route's preferred source.
const BPF_FIB_LOOKUP_SRC: u32 = 1 << 4;
const EEXIST: i32 = -17;

/// What differs between an XDP frame and an skb; see the methods of the same name of [`Hook`].
pub(crate) trait Buffer {
    const STAGE: Stage;
    const L3: usize;
    fn bytes(&self, offset: usize, length: usize) -> Option<Bytes>;
    fn linear_len(&self) -> usize;
    fn len(&self) -> usize;
    fn ifindex(&self) -> u32;
    /// The program's context, for helpers.
    fn context(&self) -> *mut core::ffi::c_void;
    fn rewrite<A: IpAddress>(&mut self, packet: &Packet<A>, flow: &Flow<A>, hop: bool) -> bool;
    fn set_macs(&mut self, macs: &[u32; 3]) -> bool;
    fn grow(&mut self, bytes: u32) -> bool;
    fn cut(&mut self, length: u32) -> bool;
    fn store<const N: usize>(&mut self, offset: usize, words: &[u16; N]) -> bool;
}

/// A buffer with the maps beside it.
pub(crate) struct Kernel<B, A> {
    pub(crate) buffer: B,
    family: PhantomData<A>,
}

impl<B, A> Kernel<B, A> {
    #[inline(always)]
    pub(crate) fn new(buffer: B) -> Self {
        Self { buffer, family: PhantomData }
    }
}

#[inline(always)]
fn tracing() -> bool {
    maps::TRACING.load() != 0
}

/// Adds to a counter of this CPU, which nothing else writes meanwhile.
#[inline(always)]
fn add(counter: Option<*mut u64>, amount: u64) {
    if let Some(counter) = counter
        && !tracing()
    {
        // SAFETY: the map returned the pointer; BPF programs do not migrate, and softirqs do not nest.
        unsafe { *counter += amount };
    }
}

fn inserted(result: Result<(), i32>) -> Result<(), InsertError> {
    match result {
        Ok(()) => Ok(()),
        Err(EEXIST) => Err(InsertError::Exists),
        Err(_) => Err(InsertError::Full),
    }
}

impl<B: Buffer, A: Family> Hook for Kernel<B, A> {
    const STAGE: Stage = B::STAGE;
    const L3: usize = B::L3;
    type Address = A;
    type Half = *mut Flow<A>;

    #[inline(always)]
    fn bytes(&self, offset: usize, length: usize) -> Option<Bytes> {
        self.buffer.bytes(offset, length)
    }

    #[inline(always)]
    fn linear_len(&self) -> usize {
        self.buffer.linear_len()
    }

    #[inline(always)]
    fn len(&self) -> usize {
        self.buffer.len()
    }

    #[inline(always)]
    fn ifindex(&self) -> u32 {
        self.buffer.ifindex()
    }

    #[inline(always)]
    fn now(&self) -> Tick {
        // SAFETY: a helper without arguments.
        time::tick(unsafe { bpf_ktime_get_coarse_ns() })
    }

    #[inline(always)]
    fn snat_ports(&self) -> (u16, u16) {
        (maps::SNAT_PORT_MIN.load(), maps::SNAT_PORT_MAX.load())
    }

    #[inline(always)]
    fn epoch(&self) -> u32 {
        // SAFETY: the map returned the pointer; the agent writes the word whole.
        maps::RUNTIME.get_ptr(0).map_or(0, |runtime| unsafe { (*runtime).epoch })
    }

    #[inline(always)]
    fn filter(&self, bit: Bit) -> bool {
        // SAFETY: the map returned the pointer; words are read whole.
        maps::FILTER.get_ptr(bit.word()).is_some_and(|word| unsafe { *word } & bit.mask() != 0)
    }

    #[inline(always)]
    fn flow(&self, key: &FlowKey<A>) -> Option<*mut Flow<A>> {
        A::flows().get_ptr_mut(key)
    }

    #[inline(always)]
    fn read(&self, half: *mut Flow<A>) -> Flow<A> {
        // SAFETY: the table returned the pointer. An LRU may give the element to another key meanwhile; the pipeline
        // copies it out at once and inserts nothing before.
        unsafe { *half }
    }

    #[inline(always)]
    fn write(&self, half: *mut Flow<A>, flow: &Flow<A>) {
        if !tracing() {
            // SAFETY: as for `read`.
            unsafe { *half = *flow };
        }
    }

    #[inline(always)]
    fn insert_new(&self, key: &FlowKey<A>, flow: &Flow<A>) -> Result<(), InsertError> {
        if tracing() {
            return if A::flows().get_ptr(key).is_some() { Err(InsertError::Exists) } else { Ok(()) };
        }
        inserted(A::flows().insert(key, flow, BPF_NOEXIST.into()))
    }

    #[inline(always)]
    fn insert(&self, key: &FlowKey<A>, flow: &Flow<A>) -> Result<(), InsertError> {
        if tracing() {
            return Ok(());
        }
        inserted(A::flows().insert(key, flow, BPF_ANY.into()))
    }

    #[inline(always)]
    fn remove(&self, key: &FlowKey<A>) -> bool {
        !tracing() && A::flows().remove(key).is_ok()
    }

    #[inline(always)]
    fn find_record(&self, hash: u64, key: &FlowKey<A>, now: Tick) -> Option<Flow<A>> {
        let bucket = A::restore().get_ptr(hash as u32 & A::restore_mask())?;
        // SAFETY: the map returned the pointer. Another CPU may be writing: a record carries a check for that.
        unsafe { (*bucket).find(key, now) }
    }

    #[inline(always)]
    fn keep_record(&self, hash: u64, record: RestoreRecord<A>, now: Tick) {
        if tracing() {
            return;
        }
        if let Some(bucket) = A::restore().get_ptr_mut(hash as u32 & A::restore_mask()) {
            // SAFETY: as for `find_record`.
            unsafe { (*bucket).keep(record, now) };
        }
    }

    #[inline(always)]
    fn service(&self, key: &ServiceKey) -> Option<Service> {
        // SAFETY: copied out at once.
        unsafe { maps::SERVICES.get(key).copied() }
    }

    #[inline(always)]
    fn ring(&self, chunk: u32, slot: u32) -> Option<u32> {
        let chunk = maps::RINGS.get_ptr(chunk)?.cast::<u32>();
        // SAFETY: the mask keeps the slot inside the chunk.
        Some(unsafe { *chunk.add(slot as usize & (CHUNK_SLOTS - 1)) })
    }

    #[inline(always)]
    fn backend(&self, index: u32) -> Option<Backend> {
        maps::BACKENDS.get(index).copied()
    }

    #[inline(always)]
    fn interface(&self, ifindex: u32) -> Option<Interface> {
        // SAFETY: copied out at once.
        unsafe { maps::INTERFACES.get(ifindex).copied() }
    }

    #[inline(always)]
    fn route(&self, src_be: A, dst_be: A, packet: &Packet<A>) -> Route<A> {
        // SAFETY: an all-zero `bpf_fib_lookup` is valid: integers and unions of integers.
        let mut query: bpf_fib_lookup = unsafe { core::mem::zeroed() };
        A::ask(&mut query, src_be, dst_be);
        query.l4_protocol = packet.protocol;
        query.ifindex = self.buffer.ifindex();
        let wants_source = src_be.is_none() && maps::FIB_SRC.load() != 0;
        let flags = if wants_source { BPF_FIB_LOOKUP_SRC } else { 0 };
        // `tot_len` stays 0: the packet may be a GSO aggregate that leaves in smaller pieces.
        // SAFETY: context and query are valid, the size is the query's.
        let code = unsafe {
            fib_lookup(self.buffer.context(), &raw mut query, size_of::<bpf_fib_lookup>() as i32, flags)
        };
        let (d, s) = (query.dmac, query.smac);
        let macs = [
            u32::from_ne_bytes([d[0], d[1], d[2], d[3]]),
            u32::from_ne_bytes([d[4], d[5], s[0], s[1]]),
            u32::from_ne_bytes([s[2], s[3], s[4], s[5]]),
        ];
        let source_be = if wants_source { A::source(&query) } else { A::NONE };
        Route { code: i64::from(code), ifindex: query.ifindex, macs, source_be }
    }

    #[inline(always)]
    fn take_answer_token(&self, now: Tick) -> bool {
        match maps::ANSWER_LIMIT.get_ptr_mut(0) {
            // SAFETY: this CPU's bucket.
            Some(bucket) if !tracing() => unsafe { (*bucket).take(now) },
            _ => true,
        }
    }

    #[inline(always)]
    fn count_packet(&self, service: u32, reply: bool, bytes: u64) {
        let Some(stats) = maps::SERVICE_STATS.get_ptr_mut(service) else {
            return;
        };
        if tracing() {
            return;
        }
        // SAFETY: this CPU's counters.
        let stats: &mut ServiceStats = unsafe { &mut *stats };
        if reply {
            stats.reply_packets += 1;
            stats.reply_bytes += bytes;
        } else {
            stats.packets += 1;
            stats.bytes += bytes;
        }
    }

    #[inline(always)]
    fn count_flow(&self, service: u32) {
        // SAFETY: this CPU's counters.
        add(maps::SERVICE_STATS.get_ptr_mut(service).map(|stats| unsafe { &raw mut (*stats).new_flows }), 1);
    }

    #[inline(always)]
    fn count_drop(&self, reason: u32) {
        add(maps::DROPS.get_ptr_mut(reason), 1);
    }

    #[inline(always)]
    fn count(&self, stat: Stat) {
        add(maps::STATS.get_ptr_mut(stat as u32), 1);
    }

    #[inline(always)]
    fn step_between(&self, step: Step, [a, b, c]: [u32; 3], from: A, to: A) {
        if !tracing() {
            return;
        }
        // Element 0 counts the steps.
        let Some(head) = maps::TRACE.get_ptr_mut(0) else {
            return;
        };
        // SAFETY: the trace map belongs to one run of one program.
        let number = unsafe {
            (*head).a += 1;
            (*head).a
        };
        if let Some(element) = maps::TRACE.get_ptr_mut(number) {
            // SAFETY: as above.
            unsafe {
                *element = TraceStep { kind: step as u32, a, b, c, from: from.address(), to: to.address() }
            };
        }
    }

    #[inline(always)]
    fn rewrite(&mut self, packet: &Packet<A>, flow: &Flow<A>, hop: bool) -> bool {
        self.buffer.rewrite(packet, flow, hop)
    }

    #[inline(always)]
    fn set_macs(&mut self, macs: &[u32; 3]) -> bool {
        self.buffer.set_macs(macs)
    }

    #[inline(always)]
    fn grow(&mut self, bytes: u32) -> bool {
        self.buffer.grow(bytes)
    }

    #[inline(always)]
    fn cut(&mut self, length: u32) -> bool {
        self.buffer.cut(length)
    }

    #[inline(always)]
    fn store<const N: usize>(&mut self, offset: usize, words: &[u16; N]) -> bool {
        self.buffer.store(offset, words)
    }
}
