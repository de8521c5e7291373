//! An skb at tcx: reads go straight to the packet, writes go through helpers, because skbs from local senders carry
//! partial checksums (`CHECKSUM_PARTIAL`) that only the kernel knows how to update.

use aya_ebpf::{
    bindings::{
        BPF_F_ADJ_ROOM_ENCAP_L3_IPV4, BPF_F_ADJ_ROOM_ENCAP_L3_IPV6, BPF_F_MARK_MANGLED_0, BPF_F_PSEUDO_HDR,
        BPF_F_RECOMPUTE_CSUM, bpf_adj_room_mode::BPF_ADJ_ROOM_MAC,
    },
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
    packet::{ETHERNET_LEN, Form, Packet, SCTP_LEN},
    pipeline::{Bytes, Stage},
    tcp::{SCTP, TCP},
};

use crate::{buffer::Buffer, parts::sctp_checksum_change};

/// Headers that the pipeline reads of nearly every packet: Ethernet, IPv4 with options or IPv6 with a short extension
/// header, TCP without options.
pub(crate) const HEADERS: usize = ETHERNET_LEN + 60 + 20;
/// A flag of `bpf_l4_csum_replace` that aya's bindings do not have yet (`include/uapi/linux/bpf.h`).
const BPF_F_IPV6: u64 = 1 << 7;

pub(crate) struct Skb<const EGRESS: bool, const L3_OFFSET: usize> {
    pub(crate) context: TcContext,
}

impl<const EGRESS: bool, const L3_OFFSET: usize> Skb<EGRESS, L3_OFFSET> {
    #[inline(always)]
    fn rewrite_ip<A: IpAddress>(&mut self, packet: &Packet<A>, flow: &Flow<A>, hop: bool) -> bool {
        if A::IS_V6 {
            return (!hop || self.store_at(L3_OFFSET + 7, &(packet.ttl - 1)))
                && self.store_at(L3_OFFSET + 8, &[flow.src_be.words(), flow.dst_be.words()]);
        }
        let delta = if hop { checksum::combine(flow.l3_delta, checksum::TTL_DELTA) } else { flow.l3_delta };
        let (src_be, dst_be) = (flow.src_be.words()[3], flow.dst_be.words()[3]);
        // SAFETY: the context is valid; size 0 in the flags makes the last value a difference.
        let summed = unsafe {
            bpf_l3_csum_replace(self.context.skb.skb, L3_OFFSET as u32 + 10, 0, u64::from(delta), 0)
        };
        summed == 0
            && (!hop || self.store_at(L3_OFFSET + 8, &(packet.ttl - 1)))
            && self.store_at(L3_OFFSET + 12, &[src_be, dst_be])
    }

    #[inline(always)]
    fn rewrite_transport<A: IpAddress>(&mut self, packet: &Packet<A>, flow: &Flow<A>) -> bool {
        let ports = [flow.src_port_be, flow.dst_port_be];
        if packet.protocol == SCTP {
            return self.rewrite_sctp(packet, ports);
        }
        // With a partial checksum only the pseudo-header counts, so addresses and ports go in separately.
        let ports_delta = checksum::combine(flow.l4_delta, !flow.l3_delta);
        let (sum, mangled) =
            if packet.protocol == TCP { (16, 0) } else { (6, u64::from(BPF_F_MARK_MANGLED_0)) };
        let (skb, l4_sum) = (self.context.skb.skb, (packet.l4 + sum) as u32);
        // An IPv6 header has no checksum of its own that would cancel the addresses in the sum over the whole packet
        // (`BPF_F_IPV6`, kernel commit ead7f9b8de65).
        let family = if A::IS_V6 { BPF_F_IPV6 } else { 0 };
        let pseudo = u64::from(BPF_F_PSEUDO_HDR) | mangled | family;
        // SAFETY: as in `rewrite_ip`.
        let summed = unsafe {
            bpf_l4_csum_replace(skb, l4_sum, 0, u64::from(flow.l3_delta), pseudo) == 0
                && bpf_l4_csum_replace(skb, l4_sum, 0, u64::from(ports_delta), mangled) == 0
        };
        summed && self.store_at(packet.l4, &ports)
    }

    /// No device here computes CRC32c for the sender: the checksum is in the packet.
    #[inline(always)]
    fn rewrite_sctp<A: IpAddress>(&mut self, packet: &Packet<A>, ports: [u16; 2]) -> bool {
        let Some(sctp) = self.bytes(packet.l4, SCTP_LEN) else {
            return false;
        };
        let word = |ports: [u16; 2]| u32::from(ports[0]) | u32::from(ports[1]) << 16;
        let difference = word([packet.key.src_port_be, packet.key.dst_port_be]) ^ word(ports);
        let length = packet.total_len.wrapping_sub((packet.l4 - L3_OFFSET) as u32);
        let sum = sctp.u32(8) ^ sctp_checksum_change(difference, length);
        self.store_at(packet.l4, &ports) && self.store_at(packet.l4 + 8, &sum)
    }

    #[inline(always)]
    fn store_at<T>(&self, offset: usize, value: &T) -> bool {
        self.store_with(offset, value, 0)
    }

    #[inline(always)]
    fn store_with<T>(&self, offset: usize, value: &T, flags: u64) -> bool {
        // SAFETY: the value is readable for its size; padding-free integers and arrays of them only.
        unsafe {
            bpf_skb_store_bytes(
                self.context.skb.skb,
                offset as u32,
                core::ptr::from_ref(value).cast(),
                size_of::<T>() as u32,
                flags,
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
    fn segment_payload(&self) -> u32 {
        // SAFETY: the context's pointer is valid for the run of the program.
        let (segments, size) =
            unsafe { ((*self.context.skb.skb).gso_segs, (*self.context.skb.skb).gso_size) };
        if segments > 1 { size } else { 0 }
    }

    #[inline(always)]
    fn pull(&mut self, length: usize) {
        if self.linear_len() < length {
            let len = self.len();
            // What cannot be pulled is not there for `bytes` either.
            let _ = self.context.pull_data(if len < length { len } else { length } as u32);
        }
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
        self.rewrite_ip(packet, flow, hop)
            && (packet.form == Form::LATER_FRAGMENT || self.rewrite_transport(packet, flow))
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

    /// Tells the kernel what the header is: an aggregate stays one, to be cut inside the outer header.
    #[inline(always)]
    fn encapsulate(&mut self, bytes: u32, v6: bool) -> bool {
        let family = if v6 { BPF_F_ADJ_ROOM_ENCAP_L3_IPV6 } else { BPF_F_ADJ_ROOM_ENCAP_L3_IPV4 };
        // SAFETY: as for `grow`.
        unsafe {
            bpf_skb_adjust_room(self.context.skb.skb, bytes as i32, BPF_ADJ_ROOM_MAC, u64::from(family)) == 0
        }
    }

    #[inline(always)]
    fn decapsulate(&mut self, bytes: u32) -> bool {
        // SAFETY: as for `grow`.
        unsafe { bpf_skb_adjust_room(self.context.skb.skb, -(bytes as i32), BPF_ADJ_ROOM_MAC, 0) == 0 }
    }

    #[inline(always)]
    fn resize(&mut self, length: u32) -> bool {
        // SAFETY: as for `grow`.
        unsafe { bpf_skb_change_tail(self.context.skb.skb, length, 0) == 0 }
    }

    #[inline(always)]
    fn store<const N: usize>(&mut self, offset: usize, words: &[u16; N]) -> bool {
        // The sum over the whole packet that a device may have computed follows.
        self.store_with(offset, words, u64::from(BPF_F_RECOMPUTE_CSUM))
    }
}
