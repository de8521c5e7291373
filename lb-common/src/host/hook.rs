//! The pipeline's [`Hook`] over [`Tables`].

use core::marker::PhantomData;
use std::vec::Vec;

use super::{Family, Tables};
use crate::{
    address::Address,
    affinity::{Affinity, AffinityKey},
    backend::Backend,
    filter::Bit,
    flow::{Flow, FlowKey},
    fragment::{FragmentKey, FragmentPorts},
    interface::Interface,
    monitor::{Event, Kind, What},
    packet::{ETHERNET_LEN, Packet},
    pipeline::{self, Bytes, Hook, InsertError, Route, Stage, Verdict},
    service::{SERVICE_CATCH_ALL, Service, ServiceKey},
    stat::Stat,
    tcp::State,
    time::Tick,
    trace::Step,
    workspace::Workspace,
};

/// Where a program is attached.
pub trait Place {
    /// It as the pipeline knows it.
    const STAGE: Stage;
}

/// XDP.
#[derive(Debug)]
pub struct Xdp;
/// tcx ingress.
#[derive(Debug)]
pub struct Ingress;
/// tcx egress.
#[derive(Debug)]
pub struct Egress;

impl Place for Xdp {
    const STAGE: Stage = Stage::Xdp;
}

impl Place for Ingress {
    const STAGE: Stage = Stage::TcxIngress;
}

impl Place for Egress {
    const STAGE: Stage = Stage::TcxEgress;
}

/// A frame at a place of the node that the tables describe.
#[derive(Debug)]
pub struct Host<'a, P, A> {
    pub(super) tables: &'a Tables,
    pub(super) frame: Vec<u8>,
    ifindex: u32,
    place: PhantomData<(P, A)>,
}

impl<'a, P, A> Host<'a, P, A> {
    /// A frame without VLAN tags that came in by (at egress: leaves by) `ifindex`.
    pub fn new(tables: &'a Tables, ifindex: u32, frame: Vec<u8>) -> Self {
        Self { tables, frame, ifindex, place: PhantomData }
    }
}

impl<P: Place, A: Family> Hook for Host<'_, P, A> {
    const STAGE: Stage = P::STAGE;
    const L3: usize = ETHERNET_LEN;
    type Address = A;
    type Half = FlowKey<A>;

    fn bytes(&self, offset: usize, length: usize) -> Option<Bytes> {
        let bytes = self.frame.get(offset..offset.checked_add(length)?)?;
        // SAFETY: the slice is as long as asked for, and the pipeline resizes no packet of which it holds bytes.
        Some(unsafe { Bytes::new(bytes.as_ptr()) })
    }

    fn linear_len(&self) -> usize {
        self.frame.len()
    }

    fn len(&self) -> usize {
        self.frame.len()
    }

    fn segment_payload(&self) -> u32 {
        0
    }

    fn pull(&mut self, _length: usize) {}

    fn ifindex(&self) -> u32 {
        self.ifindex
    }

    fn workspace(&self) -> *mut Workspace<A> {
        A::of(self.tables).workspace.get()
    }

    fn now(&self) -> Tick {
        self.tables.now
    }

    fn snat_ports(&self) -> (u16, u16) {
        self.tables.snat_ports
    }

    fn new_flows_per_tick(&self) -> u32 {
        self.tables.new_flows_per_tick
    }

    fn epoch(&self) -> u32 {
        self.tables.epoch
    }

    fn zero(&self) -> u32 {
        0
    }

    fn filter(&self, bit: Bit) -> bool {
        self.tables.filter[bit.word() as usize] & bit.mask() != 0
    }

    fn flow(&self, key: &FlowKey<A>) -> Option<FlowKey<A>> {
        A::of(self.tables).flows.borrow().contains_key(key).then_some(*key)
    }

    fn read(&self, half: FlowKey<A>) -> Flow<A> {
        A::of(self.tables).flows.borrow().get(&half).copied().unwrap_or_default()
    }

    fn read_into(&self, half: FlowKey<A>, flow: &mut Flow<A>) {
        *flow = self.read(half);
    }

    fn write(&self, half: FlowKey<A>, flow: &Flow<A>) {
        if let Some(found) = A::of(self.tables).flows.borrow_mut().get_mut(&half) {
            *found = *flow;
        }
    }

    fn touch(&self, half: FlowKey<A>, state: State, now: Tick) {
        if let Some(flow) = A::of(self.tables).flows.borrow_mut().get_mut(&half) {
            (flow.state, flow.last_seen) = (state, now);
        }
    }

    fn insert_new(&self, key: &FlowKey<A>, flow: &Flow<A>) -> Result<(), InsertError> {
        if self.flow(key).is_some() { Err(InsertError::Exists) } else { self.insert(key, flow) }
    }

    fn insert(&self, key: &FlowKey<A>, flow: &Flow<A>) -> Result<(), InsertError> {
        A::of(self.tables).flows.borrow_mut().insert(*key, *flow);
        Ok(())
    }

    fn remove(&self, key: &FlowKey<A>) -> bool {
        A::of(self.tables).flows.borrow_mut().remove(key).is_some()
    }

    fn find_record(&self, hash: u64, key: &FlowKey<A>, now: Tick, flow: &mut Flow<A>) -> bool {
        let records = A::of(self.tables).restore.borrow();
        records.get(&self.bucket(hash)).is_some_and(|bucket| bucket.find(key, now, flow))
    }

    fn is_recorded_as_taken(&self, hash: u64, key: &FlowKey<A>, own: &FlowKey<A>, now: Tick) -> bool {
        let records = A::of(self.tables).restore.borrow();
        records.get(&self.bucket(hash)).is_some_and(|bucket| bucket.is_taken(key, own, now))
    }

    fn is_taken(&self) -> bool {
        pipeline::is_taken(self)
    }

    fn claim(&self) -> Verdict {
        pipeline::claim(self)
    }

    fn keep_records(&self, now: Tick) {
        pipeline::keep_records(self, now);
    }

    fn keep_record(&self, hash: u64, key: &FlowKey<A>, flow: &Flow<A>, now: Tick) {
        let mut records = A::of(self.tables).restore.borrow_mut();
        records.entry(self.bucket(hash)).or_default().keep(key, flow, now);
    }

    fn fragment(&self, key: &FragmentKey) -> Option<FragmentPorts> {
        self.tables.fragments.borrow().get(key).copied()
    }

    fn keep_fragment(&self, key: &FragmentKey, ports: FragmentPorts) {
        self.tables.fragments.borrow_mut().insert(*key, ports);
    }

    fn affinity(&self, key: &AffinityKey) -> Option<Affinity> {
        self.tables.affinity.borrow().get(key).copied()
    }

    fn keep_affinity(&self, key: &AffinityKey, affinity: Affinity) {
        self.tables.affinity.borrow_mut().insert(*key, affinity);
    }

    fn service(&self, key: &ServiceKey, service: &mut Service) -> bool {
        self.tables.services.get(key).map(|found| *service = *found).is_some()
    }

    fn has_catch_all(&self, key: &ServiceKey) -> bool {
        self.tables.services.get(key).is_some_and(|service| service.flags & SERVICE_CATCH_ALL != 0)
    }

    fn ring(&self, chunk: u32, slot: u32) -> Option<u32> {
        Some(self.tables.rings.get(&chunk).map_or(0, |chunk| chunk.slots[slot as usize]))
    }

    fn backend(&self, index: u32, backend: &mut Backend) -> bool {
        *backend = self.tables.backends.get(&index).copied().unwrap_or_default();
        true
    }

    fn endpoint_flags(&self, index: u32, generation: u32) -> Option<u8> {
        let endpoint = self.tables.backends.get(&index).copied().unwrap_or_default();
        (endpoint.generation == generation).then_some(endpoint.flags)
    }

    fn interface(&self, ifindex: u32) -> Option<Interface> {
        self.tables.interfaces.get(&ifindex).copied()
    }

    fn admits(&self, service: u32, client: A) -> bool {
        self.tables.admits(service, client.address())
    }

    fn is_peer(&self, address: A) -> bool {
        self.tables.peers.contains(&address.address())
    }

    fn route(&self, src_be: A, dst_be: A, _packet: &Packet<A>) -> Route<A> {
        let Route { code, ifindex, macs, source_be, mtu } = self.tables.route(dst_be.address());
        let source_be = if src_be.is_none() { source_be } else { Address::NONE };
        // A query that fails keeps the interface that it was asked with.
        let ifindex = if ifindex == 0 { self.ifindex } else { ifindex };
        Route { code, ifindex, macs, source_be: A::from_address(source_be), mtu }
    }

    fn take_token(&self, bucket: u32, per_tick: u32, now: Tick) -> bool {
        self.tables.limits.borrow_mut()[bucket as usize].take(per_tick, now)
    }

    fn count_packet(&self, service: u32, reply: bool, bytes: u64) {
        let mut stats = self.tables.service_stats.borrow_mut();
        let stats = stats.entry(service).or_default();
        let (packets, sum) = if reply {
            (&mut stats.reply_packets, &mut stats.reply_bytes)
        } else {
            (&mut stats.packets, &mut stats.bytes)
        };
        *packets += 1;
        *sum += bytes;
    }

    fn count_flow(&self, service: u32) {
        self.tables.service_stats.borrow_mut().entry(service).or_default().new_flows += 1;
    }

    fn count_service_drop(&self, service: u32) {
        self.tables.service_stats.borrow_mut().entry(service).or_default().drops += 1;
    }

    fn count_drop(&self, reason: u32) {
        self.tables.drops.borrow_mut()[reason as usize] += 1;
    }

    fn count(&self, stat: Stat) {
        self.tables.stats.borrow_mut()[stat as usize] += 1;
    }

    fn tell(&self, what: What, ifindex: u32) {
        // SAFETY: the pipeline borrows the workspace mutably, and hands nothing of it to this call.
        let workspace = unsafe { *self.workspace() };
        let (what, Workspace { own, flow, .. }) = (what.resolved(&workspace), workspace);
        if what.kind() == 0 {
            return;
        }
        let mut event = Event::default();
        event.describe(what, &own, ifindex);
        if what.kind() != Kind::Drop as u32 {
            event.add_flow(&flow);
        }
        self.tables.told.borrow_mut().push(event);
    }

    fn step_between(&self, _step: Step, _values: [u32; 3], _from: A, _to: A) {}

    fn rewrite(&mut self, packet: &Packet<A>, flow: &Flow<A>, hop: bool) -> bool {
        self.rewrite_frame(packet, flow, hop);
        true
    }

    /// At tcx the kernel writes them, when the program is done.
    fn set_macs(&mut self, macs: &[u32; 3]) -> bool {
        if P::STAGE == Stage::Xdp {
            for (word, mac) in self.frame.chunks_exact_mut(4).zip(macs) {
                word.copy_from_slice(&mac.to_ne_bytes());
            }
        }
        true
    }

    fn grow(&mut self, bytes: u32) -> bool {
        self.frame.splice(ETHERNET_LEN..ETHERNET_LEN, (0..bytes).map(|_| 0));
        true
    }

    fn encapsulate(&mut self, bytes: u32) -> bool {
        self.grow(bytes)
    }

    fn decapsulate(&mut self, bytes: u32) -> bool {
        self.frame.drain(ETHERNET_LEN..ETHERNET_LEN + bytes as usize);
        true
    }

    fn resize(&mut self, length: u32) -> bool {
        self.frame.resize(length as usize, 0);
        true
    }

    fn store<const N: usize>(&mut self, offset: usize, words: &[u16; N]) -> bool {
        let Some(bytes) = self.frame.get_mut(offset..offset + N * 2) else {
            return false;
        };
        for (bytes, word) in bytes.chunks_exact_mut(2).zip(words) {
            bytes.copy_from_slice(&word.to_ne_bytes());
        }
        true
    }
}

impl<P, A> Host<'_, P, A> {
    fn bucket(&self, hash: u64) -> u32 {
        hash as u32 & self.tables.restore_mask
    }
}
