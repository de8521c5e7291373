//! The pipeline's [`Hook`] on the host: maps are ordered maps, the route is fixed, time stands where the test put it.

use std::{
    cell::{Cell, RefCell, UnsafeCell},
    collections::BTreeMap,
};

use lb_common::{
    address::V4,
    affinity::{Affinity, AffinityKey},
    backend::Backend,
    checksum,
    drop_reason::DropReason,
    filter::Bit,
    flow::{Flow, FlowKey, RestoreBucket},
    fragment::{FragmentKey, FragmentPorts},
    interface::{INTERFACE_XDP, Interface},
    packet::{ETHERNET_LEN, Packet},
    pipeline::{self, Bytes, FIB_SUCCESS, Hook, InsertError, Route, Stage},
    service::{SERVICE_CATCH_ALL, Service, ServiceKey},
    snat,
    stat::Stat,
    tcp::{State, TCP},
    time::Tick,
    trace::Step,
    workspace::Workspace,
};

/// Interface that the route leads through.
pub(crate) const OUT: u32 = 7;
/// Source address that the route prefers, network byte order.
pub(crate) const NODE_BE: u32 = u32::from_ne_bytes([10, 0, 0, 1]);

/// A node at XDP.
#[derive(Default)]
pub(crate) struct Host {
    pub(crate) packet: Vec<u8>,
    pub(crate) now: Cell<Tick>,
    pub(crate) flows: RefCell<BTreeMap<FlowKey, Flow>>,
    pub(crate) records: RefCell<BTreeMap<u64, RestoreBucket>>,
    pub(crate) fragments: RefCell<BTreeMap<FragmentKey, FragmentPorts>>,
    pub(crate) affinities: RefCell<BTreeMap<AffinityKey, Affinity>>,
    pub(crate) workspace: UnsafeCell<Workspace>,
    pub(crate) services: BTreeMap<ServiceKey, Service>,
    pub(crate) backends: BTreeMap<u32, Backend>,
    pub(crate) drops: RefCell<BTreeMap<u32, u64>>,
    pub(crate) epoch: u32,
}

impl Host {
    /// Packets dropped for a reason.
    pub(crate) fn drops(&self, reason: DropReason) -> u64 {
        self.drops.borrow().get(&(reason as u32)).copied().unwrap_or(0)
    }

    fn add(&mut self, offset: usize, delta: u32, udp: bool) {
        let old = u16::from_ne_bytes([self.packet[offset], self.packet[offset + 1]]);
        let new = if udp { checksum::apply_udp(old, delta) } else { checksum::apply(old, delta) };
        self.packet[offset..offset + 2].copy_from_slice(&new.to_ne_bytes());
    }
}

impl Hook for Host {
    const STAGE: Stage = Stage::Xdp;
    const L3: usize = ETHERNET_LEN;
    type Address = V4;
    type Half = FlowKey;

    fn bytes(&self, offset: usize, length: usize) -> Option<Bytes> {
        let bytes = self.packet.get(offset..offset.checked_add(length)?)?;
        // SAFETY: the slice is as long as asked for, and the packet is not resized while the value lives.
        Some(unsafe { Bytes::new(bytes.as_ptr()) })
    }

    fn linear_len(&self) -> usize {
        self.packet.len()
    }

    fn len(&self) -> usize {
        self.packet.len()
    }

    fn segment_payload(&self) -> u32 {
        0
    }

    fn pull(&mut self, _length: usize) {}

    fn workspace(&self) -> *mut Workspace {
        self.workspace.get()
    }

    fn ifindex(&self) -> u32 {
        1
    }

    fn now(&self) -> Tick {
        self.now.get()
    }

    fn snat_ports(&self) -> (u16, u16) {
        (snat::PORT_MIN, snat::PORT_MAX)
    }

    fn epoch(&self) -> u32 {
        self.epoch
    }

    fn zero(&self) -> u32 {
        0
    }

    /// Everything may be ours: what the tables answer must not depend on the filter.
    fn filter(&self, _bit: Bit) -> bool {
        true
    }

    fn flow(&self, key: &FlowKey) -> Option<FlowKey> {
        self.flows.borrow().contains_key(key).then_some(*key)
    }

    fn read(&self, half: FlowKey) -> Flow {
        self.flows.borrow()[&half]
    }

    fn read_into(&self, half: FlowKey, flow: &mut Flow) {
        *flow = self.read(half);
    }

    fn write(&self, half: FlowKey, flow: &Flow) {
        self.flows.borrow_mut().insert(half, *flow);
    }

    fn touch(&self, half: FlowKey, state: State, now: Tick) {
        if let Some(flow) = self.flows.borrow_mut().get_mut(&half) {
            (flow.state, flow.last_seen) = (state, now);
        }
    }

    fn insert_new(&self, key: &FlowKey, flow: &Flow) -> Result<(), InsertError> {
        if self.flow(key).is_some() {
            return Err(InsertError::Exists);
        }
        self.insert(key, flow)
    }

    fn insert(&self, key: &FlowKey, flow: &Flow) -> Result<(), InsertError> {
        self.flows.borrow_mut().insert(*key, *flow);
        Ok(())
    }

    fn remove(&self, key: &FlowKey) -> bool {
        self.flows.borrow_mut().remove(key).is_some()
    }

    fn find_record(&self, hash: u64, key: &FlowKey, now: Tick, flow: &mut Flow) -> bool {
        self.records.borrow().get(&hash).is_some_and(|bucket| bucket.find(key, now, flow))
    }

    fn claim(&self) -> bool {
        pipeline::claim(self)
    }

    fn keep_records(&self, now: Tick) {
        pipeline::keep_records(self, now);
    }

    fn keep_record(&self, hash: u64, key: &FlowKey, flow: &Flow, now: Tick) {
        self.records.borrow_mut().entry(hash).or_default().keep(key, flow, now);
    }

    fn fragment(&self, key: &FragmentKey) -> Option<FragmentPorts> {
        self.fragments.borrow().get(key).copied()
    }

    fn keep_fragment(&self, key: &FragmentKey, ports: FragmentPorts) {
        self.fragments.borrow_mut().insert(*key, ports);
    }

    fn affinity(&self, key: &AffinityKey) -> Option<Affinity> {
        self.affinities.borrow().get(key).copied()
    }

    fn keep_affinity(&self, key: &AffinityKey, affinity: Affinity) {
        self.affinities.borrow_mut().insert(*key, affinity);
    }

    fn service(&self, key: &ServiceKey, service: &mut Service) -> bool {
        self.services.get(key).map(|found| *service = *found).is_some()
    }

    fn has_catch_all(&self, key: &ServiceKey) -> bool {
        self.services.get(key).is_some_and(|service| service.flags & SERVICE_CATCH_ALL != 0)
    }

    /// Rings of one endpoint: the service's `ring` is its index.
    fn ring(&self, chunk: u32, _slot: u32) -> Option<u32> {
        Some(chunk / 1000)
    }

    fn backend(&self, index: u32, backend: &mut Backend) -> bool {
        self.backends.get(&index).map(|found| *backend = *found).is_some()
    }

    fn endpoint_flags(&self, index: u32, generation: u32) -> Option<u8> {
        self.backends.get(&index).filter(|found| found.generation == generation).map(|found| found.flags)
    }

    fn interface(&self, ifindex: u32) -> Option<Interface> {
        (ifindex == OUT).then(|| Interface { flags: INTERFACE_XDP, ..Interface::default() })
    }

    fn route(&self, _src_be: u32, _dst_be: u32, _packet: &Packet) -> Route<V4> {
        Route { code: FIB_SUCCESS, ifindex: OUT, macs: [1, 2, 3], source_be: NODE_BE, mtu: 1500 }
    }

    fn admits(&self, _service: u32, _client: V4) -> bool {
        true
    }

    fn is_peer(&self, _address: V4) -> bool {
        false
    }

    fn take_token(&self, _bucket: u32, _now: Tick) -> bool {
        true
    }

    fn count_packet(&self, _service: u32, _reply: bool, _bytes: u64) {}

    fn count_flow(&self, _service: u32) {}

    fn count_drop(&self, reason: u32) {
        *self.drops.borrow_mut().entry(reason).or_default() += 1;
    }

    fn count(&self, _stat: Stat) {}

    fn step_between(&self, _step: Step, _values: [u32; 3], _from: V4, _to: V4) {}

    fn rewrite(&mut self, packet: &Packet, flow: &Flow, hop: bool) -> bool {
        let ip = ETHERNET_LEN;
        let ttl_delta = if hop { u32::from(checksum::TTL_DELTA) } else { 0 };
        self.add(ip + 10, u32::from(flow.l3_delta) + ttl_delta, false);
        self.packet[ip + 8] -= u8::from(hop);
        self.packet[ip + 12..ip + 16].copy_from_slice(&flow.src_be.to_ne_bytes());
        self.packet[ip + 16..ip + 20].copy_from_slice(&flow.dst_be.to_ne_bytes());
        let udp = packet.protocol != TCP;
        self.add(packet.l4 + if udp { 6 } else { 16 }, u32::from(flow.l4_delta), udp);
        self.packet[packet.l4..packet.l4 + 2].copy_from_slice(&flow.src_port_be.to_ne_bytes());
        self.packet[packet.l4 + 2..packet.l4 + 4].copy_from_slice(&flow.dst_port_be.to_ne_bytes());
        true
    }

    fn set_macs(&mut self, macs: &[u32; 3]) -> bool {
        for (word, mac) in self.packet.chunks_exact_mut(4).zip(macs) {
            word.copy_from_slice(&mac.to_ne_bytes());
        }
        true
    }

    fn grow(&mut self, bytes: u32) -> bool {
        let at = ETHERNET_LEN;
        self.packet.splice(at..at, vec![0; bytes as usize]);
        true
    }

    fn encapsulate(&mut self, bytes: u32) -> bool {
        self.grow(bytes)
    }

    fn decapsulate(&mut self, bytes: u32) -> bool {
        self.packet.drain(ETHERNET_LEN..ETHERNET_LEN + bytes as usize);
        true
    }

    fn resize(&mut self, length: u32) -> bool {
        self.packet.resize(length as usize, 0);
        true
    }

    fn store<const N: usize>(&mut self, offset: usize, words: &[u16; N]) -> bool {
        for (index, word) in words.iter().enumerate() {
            let at = offset + index * 2;
            self.packet[at..at + 2].copy_from_slice(&word.to_ne_bytes());
        }
        true
    }
}
