//! An skb at tcx: reads go straight to the packet, writes go through helpers, because skbs from local senders carry
//! partial checksums (`CHECKSUM_PARTIAL`) that only the kernel knows how to update.

use aya_ebpf::{
    bindings::{BPF_F_MARK_MANGLED_0, BPF_F_PSEUDO_HDR, bpf_adj_room_mode::BPF_ADJ_ROOM_MAC},
    helpers::{
        bpf_l3_csum_replace, bpf_l4_csum_replace, bpf_skb_adjust_room, bpf_skb_change_tail,
        bpf_skb_store_bytes,
    },
    programs::TcContext,
};
use lb_common::{
    address::IpAddress,
    checksum,
    flow::Flow,
    packet::{ETHERNET_LEN, Packet},
    pipeline::{Bytes, Stage},
    tcp::TCP,
};

use crate::kernel::Buffer;

/// Longest headers that the pipeline reads: Ethernet, IPv4 with options, TCP without.
const HEADERS: usize = ETHERNET_LEN + 60 + 20;

pub(crate) struct Skb<const EGRESS: bool, const L3_OFFSET: usize> {
    pub(crate) context: TcContext,
}

impl<const EGRESS: bool, const L3_OFFSET: usize> Skb<EGRESS, L3_OFFSET> {
    /// Makes the headers reachable where the driver left them in fragments.
    #[inline(always)]
    pub(crate) fn pull_headers(&self) {
        let (linear, len) = (self.linear_len(), self.len());
        if linear < len && linear < HEADERS {
            // A packet whose headers cannot be pulled fails to parse and passes.
            let _ = self.context.pull_data(if len < HEADERS { len } else { HEADERS } as u32);
        }
    }

    #[inline(always)]
    fn store_at<T>(&self, offset: usize, value: &T) -> bool {
        // SAFETY: the value is readable for its size; padding-free integers and arrays of them only.
        unsafe {
            bpf_skb_store_bytes(
                self.context.skb.skb,
                offset as u32,
                core::ptr::from_ref(value).cast(),
                size_of::<T>() as u32,
                0,
            ) == 0
        }
    }
}

impl<const EGRESS: bool, const L3_OFFSET: usize> Buffer for Skb<EGRESS, L3_OFFSET> {
    const STAGE: Stage = if EGRESS { Stage::TcxEgress } else { Stage::TcxIngress };
    const L3: usize = L3_OFFSET;

    #[inline(always)]
    fn bytes(&self, offset: usize, length: usize) -> Option<Bytes> {
        let start = self.context.data() + offset;
        // SAFETY: the length was checked against the end of the linear part.
        (start + length <= self.context.data_end()).then(|| unsafe { Bytes::new(start as *const u8) })
    }

    #[inline(always)]
    fn linear_len(&self) -> usize {
        self.context.data_end() - self.context.data()
    }

    #[inline(always)]
    fn len(&self) -> usize {
        self.context.len() as usize
    }

    #[inline(always)]
    fn ifindex(&self) -> u32 {
        // SAFETY: the context's pointer is valid for the run of the program.
        unsafe { (*self.context.skb.skb).ifindex }
    }

    #[inline(always)]
    fn context(&self) -> *mut core::ffi::c_void {
        self.context.skb.skb.cast()
    }

    #[inline(always)]
    fn rewrite<A: IpAddress>(&mut self, packet: &Packet<A>, flow: &Flow<A>, hop: bool) -> bool {
        let skb = self.context.skb.skb;
        let l3_delta =
            if hop { checksum::combine(flow.l3_delta, checksum::TTL_DELTA) } else { flow.l3_delta };
        // With a partial checksum only the pseudo-header counts, so addresses and ports go in separately.
        let ports_delta = checksum::combine(flow.l4_delta, !flow.l3_delta);
        let (sum, mangled) =
            if packet.protocol == TCP { (16, 0) } else { (6, u64::from(BPF_F_MARK_MANGLED_0)) };
        let l4_sum = (packet.l4 + sum) as u32;
        let pseudo = u64::from(BPF_F_PSEUDO_HDR) | mangled;
        // SAFETY: the context is valid; size 0 in the flags makes the last value a difference.
        let summed = unsafe {
            bpf_l3_csum_replace(skb, L3_OFFSET as u32 + 10, 0, u64::from(l3_delta), 0) == 0
                && bpf_l4_csum_replace(skb, l4_sum, 0, u64::from(flow.l3_delta), pseudo) == 0
                && bpf_l4_csum_replace(skb, l4_sum, 0, u64::from(ports_delta), mangled) == 0
        };
        summed
            && (!hop || self.store_at(L3_OFFSET + 8, &(packet.ttl - 1)))
            && self.store_at(L3_OFFSET + 12, &[flow.src_be.words()[3], flow.dst_be.words()[3]])
            && self.store_at(packet.l4, &[flow.src_port_be, flow.dst_port_be])
    }

    /// `bpf_redirect_neigh` writes them.
    #[inline(always)]
    fn set_macs(&mut self, _macs: &[u32; 3]) -> bool {
        true
    }

    #[inline(always)]
    fn grow(&mut self, bytes: u32) -> bool {
        // SAFETY: the context is valid; packet pointers are derived anew afterwards.
        unsafe { bpf_skb_adjust_room(self.context.skb.skb, bytes as i32, BPF_ADJ_ROOM_MAC, 0) == 0 }
    }

    #[inline(always)]
    fn cut(&mut self, length: u32) -> bool {
        // SAFETY: as for `grow`.
        unsafe { bpf_skb_change_tail(self.context.skb.skb, length, 0) == 0 }
    }

    #[inline(always)]
    fn store<const N: usize>(&mut self, offset: usize, words: &[u16; N]) -> bool {
        self.store_at(offset, words)
    }
}
