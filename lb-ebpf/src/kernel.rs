//! The maps and helpers that XDP and tcx share, as the pipeline's [`Hook`].

use core::marker::PhantomData;

use aya_ebpf::{
    bindings::{BPF_ANY, BPF_NOEXIST},
    maps::lpm_trie::Key,
};
use lb_common::{
    address::Address,
    affinity::{Affinity, AffinityKey},
    backend::Backend,
    filter::Bit,
    flow::{Flow, FlowKey},
    fragment::{FragmentKey, FragmentPorts},
    interface::Interface,
    monitor::What,
    packet::Packet,
    pipeline::{Bytes, Hook, InsertError, Route, Stage, Verdict},
    ring::CHUNK_SLOTS,
    service::{SERVICE_CATCH_ALL, Service, ServiceKey},
    source_range::SourceRangeKey,
    stat::Stat,
    tcp::State,
    time::Tick,
    trace::Step,
    workspace::Workspace,
};

use crate::{
    buffer::Buffer,
    clock, counters,
    family::Family,
    fib,
    maps::{self, insert_used},
    trace::{note, tracing},
    words::copy,
};

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
    fn segment_payload(&self) -> u32 {
        self.buffer.segment_payload()
    }

    #[inline(always)]
    fn pull(&mut self, length: usize) {
        self.buffer.pull(length);
    }

    #[inline(always)]
    fn ifindex(&self) -> u32 {
        self.buffer.ifindex()
    }

    #[inline(always)]
    fn workspace(&self) -> *mut Workspace<A> {
        A::workspace().get_ptr_mut(0).unwrap_or(core::ptr::null_mut())
    }

    #[inline(always)]
    fn now(&self) -> Tick {
        clock::now()
    }

    #[inline(always)]
    fn snat_ports(&self) -> (u16, u16) {
        (maps::SNAT_PORT_MIN.load(), maps::SNAT_PORT_MAX.load())
    }

    #[inline(always)]
    fn new_flows_per_tick(&self) -> u32 {
        maps::NEW_FLOWS_PER_TICK.load()
    }

    #[inline(always)]
    fn epoch(&self) -> u32 {
        // SAFETY: the map returned the pointer; the agent writes the word whole.
        maps::RUNTIME.get_ptr(0).map_or(0, |runtime| unsafe { (*runtime).epoch })
    }

    #[inline(always)]
    fn zero(&self) -> u32 {
        // SAFETY: as for `epoch`.
        maps::RUNTIME.get_ptr(0).map_or(0, |runtime| unsafe { (*runtime)._pad })
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
    fn read_into(&self, half: *mut Flow<A>, flow: &mut Flow<A>) {
        // SAFETY: as for `read`.
        unsafe { copy(half, flow) };
    }

    #[inline(always)]
    fn write(&self, half: *mut Flow<A>, flow: &Flow<A>) {
        if !tracing() {
            // SAFETY: as for `read`.
            unsafe { copy(flow, half) };
        }
    }

    #[inline(always)]
    fn touch(&self, half: *mut Flow<A>, state: State, now: Tick) {
        if !tracing() {
            // SAFETY: as for `read`.
            unsafe {
                (*half).state = state;
                (*half).last_seen = now;
            }
        }
    }

    #[inline(always)]
    fn insert_new(&self, key: &FlowKey<A>, flow: &Flow<A>) -> Result<(), InsertError> {
        if tracing() {
            return if A::flows().get_ptr(key).is_some() { Err(InsertError::Exists) } else { Ok(()) };
        }
        insert_used(A::flows(), key, flow, BPF_NOEXIST)
    }

    #[inline(always)]
    fn insert(&self, key: &FlowKey<A>, flow: &Flow<A>) -> Result<(), InsertError> {
        if tracing() {
            return Ok(());
        }
        insert_used(A::flows(), key, flow, BPF_ANY)
    }

    #[inline(always)]
    fn remove(&self, key: &FlowKey<A>) -> bool {
        !tracing() && A::flows().remove(key).is_ok()
    }

    #[inline(always)]
    fn find_record(&self, hash: u64, key: &FlowKey<A>, now: Tick, flow: &mut Flow<A>) -> bool {
        // SAFETY: the map returned the pointer. Another CPU may be writing: a record carries a check for that.
        A::records(hash).is_some_and(|bucket| unsafe { (*bucket).find(key, now, flow) })
    }

    #[inline(always)]
    fn is_recorded_as_taken(&self, hash: u64, key: &FlowKey<A>, own: &FlowKey<A>, now: Tick) -> bool {
        // SAFETY: as for `find_record`.
        A::records(hash).is_some_and(|bucket| unsafe { (*bucket).is_taken(key, own, now) })
    }

    #[inline(always)]
    fn is_taken(&self) -> bool {
        A::is_taken()
    }

    #[inline(always)]
    fn claim(&self) -> Verdict {
        A::claim()
    }

    #[inline(always)]
    fn keep_records(&self, now: Tick) {
        A::keep_records(now);
    }

    #[inline(always)]
    fn keep_record(&self, hash: u64, key: &FlowKey<A>, flow: &Flow<A>, now: Tick) {
        if let Some(bucket) = A::records(hash).filter(|_| !tracing()) {
            // SAFETY: as for `find_record`.
            unsafe { (*bucket).keep(key, flow, now) };
        }
    }

    #[inline(always)]
    fn fragment(&self, key: &FragmentKey) -> Option<FragmentPorts> {
        // SAFETY: copied out at once.
        unsafe { maps::FRAGMENTS.get(key).copied() }
    }

    #[inline(always)]
    fn keep_fragment(&self, key: &FragmentKey, ports: FragmentPorts) {
        if !tracing() {
            // A full table evicts; what is lost is one datagram.
            let _ = maps::FRAGMENTS.insert(key, ports, BPF_ANY.into());
        }
    }

    #[inline(always)]
    fn affinity(&self, key: &AffinityKey) -> Option<Affinity> {
        // SAFETY: copied out at once.
        unsafe { maps::AFFINITY.get(key).copied() }
    }

    #[inline(always)]
    fn keep_affinity(&self, key: &AffinityKey, affinity: Affinity) {
        match maps::AFFINITY.get_ptr_mut(key) {
            _ if tracing() => {}
            // In place, because an update of an LRU takes a new element from its lists, under locks, each time.
            // SAFETY: the table returned the pointer; who reads meanwhile finds one endpoint or the other.
            Some(entry) => unsafe { *entry = affinity },
            // A full table evicts the client that came longest ago.
            None => drop(insert_used(&maps::AFFINITY, key, &affinity, BPF_ANY)),
        }
    }

    #[inline(always)]
    fn service(&self, key: &ServiceKey, service: &mut Service) -> bool {
        // SAFETY: copied out at once; both are values of maps.
        unsafe { maps::SERVICES.get(key).map(|found| copy(found, service)).is_some() }
    }

    #[inline(always)]
    fn has_catch_all(&self, key: &ServiceKey) -> bool {
        // SAFETY: one word is read.
        unsafe { maps::SERVICES.get(key) }.is_some_and(|service| service.flags & SERVICE_CATCH_ALL != 0)
    }

    #[inline(always)]
    fn ring(&self, chunk: u32, slot: u32) -> Option<u32> {
        let chunk = maps::RINGS.get_ptr(chunk)?.cast::<u32>();
        // SAFETY: the mask keeps the slot inside the chunk.
        Some(unsafe { *chunk.add(slot as usize & (CHUNK_SLOTS - 1)) })
    }

    #[inline(always)]
    fn backend(&self, index: u32, backend: &mut Backend) -> bool {
        // SAFETY: both are values of maps.
        maps::BACKENDS.get(index).map(|found| unsafe { copy(found, backend) }).is_some()
    }

    #[inline(always)]
    fn endpoint_flags(&self, index: u32, generation: u32) -> Option<u8> {
        maps::BACKENDS.get(index).filter(|it| it.generation == generation).map(|it| it.flags)
    }

    #[inline(always)]
    fn interface(&self, ifindex: u32) -> Option<Interface> {
        // SAFETY: copied out at once.
        unsafe { maps::INTERFACES.get(ifindex).copied() }
    }

    #[inline(always)]
    fn admits(&self, service: u32, client: A) -> bool {
        let SourceRangeKey { prefix_len, service_be, address } =
            SourceRangeKey::of_client(service, client.address());
        let [a, b, c, d] = address.words_be;
        maps::SOURCE_RANGES.get(Key::new(prefix_len, [service_be, a, b, c, d])).is_some()
    }

    #[inline(always)]
    fn is_peer(&self, address: A) -> bool {
        // SAFETY: only whether it is there is asked.
        unsafe { maps::PEERS.get(address.address()).is_some() }
    }

    #[inline(always)]
    fn route(&self, src_be: A, dst_be: A, packet: &Packet<A>) -> Route<A> {
        fib::look_up(self.buffer.context(), self.buffer.ifindex(), packet.protocol, src_be, dst_be)
    }

    #[inline(always)]
    fn take_token(&self, bucket: u32, per_tick: u32, now: Tick) -> bool {
        // SAFETY: this CPU's bucket.
        maps::LIMITS.get_ptr_mut(bucket).is_none_or(|it| tracing() || unsafe { (*it).take(per_tick, now) })
    }

    #[inline(always)]
    fn count_packet(&self, service: u32, reply: bool, bytes: u64) {
        counters::packet(service, reply, bytes);
    }

    #[inline(always)]
    fn count_flow(&self, service: u32) {
        counters::new_flow(service);
    }

    #[inline(always)]
    fn count_service_drop(&self, service: u32) {
        counters::service_drop(service);
    }

    #[inline(always)]
    fn count_drop(&self, reason: u32) {
        counters::add(maps::DROPS.get_ptr_mut(reason), 1);
    }

    #[inline(always)]
    fn count(&self, stat: Stat) {
        counters::add(maps::STATS.get_ptr_mut(stat as u32), 1);
    }

    #[inline(always)]
    fn tell(&self, what: What, ifindex: u32) {
        A::tell(what.0, ifindex);
    }

    #[inline(always)]
    fn step(&self, step: Step, a: u32, b: u32, c: u32) {
        static NO_ADDRESSES: [Address; 2] = [Address::NONE; 2];
        if tracing() {
            note(step as u32, a, b, c, &NO_ADDRESSES);
        }
    }

    #[inline(always)]
    fn step_between(&self, step: Step, values: [u32; 3], from: A, to: A) {
        if tracing() {
            let [a, b, c] = values;
            note(step as u32, a, b, c, &[from.address(), to.address()]);
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
    fn encapsulate(&mut self, bytes: u32) -> bool {
        self.buffer.encapsulate(bytes, A::IS_V6)
    }

    #[inline(always)]
    fn decapsulate(&mut self, bytes: u32) -> bool {
        self.buffer.decapsulate(bytes)
    }

    #[inline(always)]
    fn resize(&mut self, length: u32) -> bool {
        self.buffer.resize(length)
    }

    #[inline(always)]
    fn store<const N: usize>(&mut self, offset: usize, words: &[u16; N]) -> bool {
        self.buffer.store(offset, words)
    }
}
