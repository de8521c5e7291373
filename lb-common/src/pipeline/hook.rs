//! What the pipeline needs of its surroundings: packet, maps and helpers.

use super::{Bytes, Verdict};
use crate::{
    address::IpAddress,
    affinity::{Affinity, AffinityKey},
    backend::Backend,
    filter::Bit,
    flow::{Flow, FlowKey},
    fragment::{FragmentKey, FragmentPorts},
    interface::Interface,
    monitor::What,
    packet::Packet,
    service::{Service, ServiceKey},
    stat::Stat,
    tcp::State,
    time::Tick,
    trace::Step,
    workspace::Workspace,
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

/// A route as `bpf_fib_lookup` reports it.
#[derive(Clone, Copy, Debug)]
pub struct Route<A> {
    /// `BPF_FIB_LKUP_RET_*`, or negative.
    pub code: i64,
    /// Interface to send through.
    pub ifindex: u32,
    /// Destination and source MAC, as they stand at the head of a frame.
    pub macs: [u32; 3],
    /// Preferred source of the route; none where the kernel does not say.
    pub source_be: A,
    /// Longest IP packet that the route takes; 0 where the kernel does not say.
    pub mtu: u16,
}

/// `BPF_FIB_LKUP_RET_SUCCESS`.
pub const FIB_SUCCESS: i64 = 0;
/// `BPF_FIB_LKUP_RET_NO_NEIGH`: the route is known, the next hop's MAC is not.
pub const FIB_NO_NEIGHBOUR: i64 = 7;
/// `BPF_FIB_LKUP_RET_NOT_FWDED`: the address is the node's own, or no route leads there.
pub const FIB_NOT_FORWARDED: i64 = 4;
/// `BPF_FIB_LKUP_RET_FRAG_NEEDED`: the route is known, this packet is longer than its MTU.
pub const FIB_FRAG_NEEDED: i64 = 8;

impl<A> Route<A> {
    /// True where the interface to send through is known.
    #[inline(always)]
    pub(super) const fn is_known(&self) -> bool {
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
    /// Offset of the IP header: 14, or 0 on devices without a link-layer header. VLAN tags are taken off before and put
    /// back after.
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
    /// Payload bytes of each packet that this one will be cut into (GSO), 0 where it is sent as it is.
    fn segment_payload(&self) -> u32;
    /// Makes `length` bytes reachable by [`bytes`](Self::bytes), as far as the packet has them.
    fn pull(&mut self, length: usize);
    /// Interface that the packet came in by (or leaves by, at egress).
    fn ifindex(&self) -> u32;
    /// Memory for the packet's flows; null where there is none. Nobody else may use it while the packet is on its way.
    fn workspace(&self) -> *mut Workspace<Self::Address>;
    /// Now.
    fn now(&self) -> Tick;
    /// Lowest and highest SNAT port.
    fn snat_ports(&self) -> (u16, u16);
    /// Flows that a CPU may open a tick, 0 for any number.
    fn new_flows_per_tick(&self) -> u32;
    /// The epoch, see [`Runtime`](crate::runtime::Runtime).
    fn epoch(&self) -> u32;

    /// A zero that the verifier does not know to be one, see [`Packet::blur`].
    fn zero(&self) -> u32;
    /// A bit of the filter.
    fn filter(&self, bit: Bit) -> bool;
    /// Finds a half.
    fn flow(&self, key: &FlowKey<Self::Address>) -> Option<Self::Half>;
    /// Copies a half out of the table.
    fn read(&self, half: Self::Half) -> Flow<Self::Address>;
    /// As [`read`](Self::read), into `flow`.
    fn read_into(&self, half: Self::Half, flow: &mut Flow<Self::Address>);
    /// Writes a half back.
    fn write(&self, half: Self::Half, flow: &Flow<Self::Address>);
    /// Marks a half as used, in a state.
    fn touch(&self, half: Self::Half, state: State, now: Tick);
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
    /// Writes what `restore` knows of a half into `flow`, see [`RestoreBucket::find`](crate::flow::RestoreBucket::find).
    fn find_record(
        &self,
        hash: u64,
        key: &FlowKey<Self::Address>,
        now: Tick,
        flow: &mut Flow<Self::Address>,
    ) -> bool;
    /// True where a living flow that the flow table may have lost has the tuple, see
    /// [`RestoreBucket::is_taken`](crate::flow::RestoreBucket::is_taken).
    fn is_recorded_as_taken(
        &self,
        hash: u64,
        key: &FlowKey<Self::Address>,
        own: &FlowKey<Self::Address>,
        now: Tick,
    ) -> bool;
    /// Runs [`is_taken`](super::is_taken), as [`claim`](Self::claim).
    fn is_taken(&self) -> bool;
    /// Runs [`claim`](super::claim()). A hook may do it in a function of its own: the workspace holds all it needs.
    fn claim(&self) -> Verdict;
    /// Runs [`keep_records`](super::keep_records), as [`claim`](Self::claim).
    fn keep_records(&self, now: Tick);
    /// Keeps a half's record, see [`RestoreBucket::keep`](crate::flow::RestoreBucket::keep).
    fn keep_record(&self, hash: u64, key: &FlowKey<Self::Address>, flow: &Flow<Self::Address>, now: Tick);

    /// Finds the ports of a fragmented datagram.
    fn fragment(&self, key: &FragmentKey) -> Option<FragmentPorts>;
    /// Keeps the ports of a fragmented datagram.
    fn keep_fragment(&self, key: &FragmentKey, ports: FragmentPorts);
    /// Finds a client's endpoint.
    fn affinity(&self, key: &AffinityKey) -> Option<Affinity>;
    /// Keeps a client's endpoint.
    fn keep_affinity(&self, key: &AffinityKey, affinity: Affinity);

    /// Copies a frontend into `service`; false where there is none.
    fn service(&self, key: &ServiceKey, service: &mut Service) -> bool;
    /// True where the address is a VIP with a catch-all.
    fn has_catch_all(&self, key: &ServiceKey) -> bool;
    /// A ring's slot.
    fn ring(&self, chunk: u32, slot: u32) -> Option<u32>;
    /// Copies an endpoint into `backend`; false where the index is beyond the table.
    fn backend(&self, index: u32, backend: &mut Backend) -> bool;
    /// `BACKEND_*` flags of the endpoint at an index, where it is still the one of this generation.
    fn endpoint_flags(&self, index: u32, generation: u32) -> Option<u8>;
    /// A device.
    fn interface(&self, ifindex: u32) -> Option<Interface>;
    /// True where the client may use a service that is limited to source ranges.
    fn admits(&self, service: u32, client: Self::Address) -> bool;
    /// True where encapsulated packets may come from the address.
    fn is_peer(&self, address: Self::Address) -> bool;
    /// Looks a route up, from the interface that the packet came in by. Addresses in network byte order; source 0 asks
    /// for the route's preferred source.
    fn route(
        &self,
        src_be: Self::Address,
        dst_be: Self::Address,
        packet: &Packet<Self::Address>,
    ) -> Route<Self::Address>;

    /// Takes a token from one of the buckets of [`limit`](crate::limit), which gains so many a tick.
    fn take_token(&self, bucket: u32, per_tick: u32, now: Tick) -> bool;
    /// Counts a packet of a service and its bytes.
    fn count_packet(&self, service: u32, reply: bool, bytes: u64);
    /// Counts a new flow of a service.
    fn count_flow(&self, service: u32);
    /// Counts a packet that was addressed to a service and was refused.
    fn count_service_drop(&self, service: u32);
    /// Counts a drop by the number of its [`DropReason`](crate::drop_reason::DropReason).
    fn count_drop(&self, reason: u32);
    /// Counts an event.
    fn count(&self, stat: Stat);
    /// Tells a monitor, if one is there, what happened to the packet in the workspace: its tuple, `own`, and but for a drop
    /// the half that it met, `flow`. `ifindex` is the interface of a drop.
    fn tell(&self, what: What, ifindex: u32);
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
    /// As [`grow`](Self::grow), for an outer IP header.
    fn encapsulate(&mut self, bytes: u32) -> bool;
    /// Takes an outer IP header of `bytes` bytes off.
    fn decapsulate(&mut self, bytes: u32) -> bool;
    /// Makes the packet `length` bytes long, at its end.
    fn resize(&mut self, length: u32) -> bool;
    /// Stores 16-bit words at an offset, whether or not they sum to what they replace.
    fn store<const N: usize>(&mut self, offset: usize, words: &[u16; N]) -> bool;
}
