//! A frame at XDP: direct packet access, checksums by precomputed deltas.

use aya_ebpf::{
    helpers::{bpf_xdp_adjust_head, bpf_xdp_adjust_tail, generated::bpf_xdp_get_buff_len},
    programs::XdpContext,
};
use lb_common::{
    address::IpAddress,
    checksum,
    flow::Flow,
    packet::{ETHERNET_LEN, IPV4_LEN, Packet, TCP_LEN, UDP_LEN},
    pipeline::{Bytes, Stage},
    tcp::TCP,
};

use crate::kernel::Buffer;

pub(crate) struct Frame {
    pub(crate) context: XdpContext,
}

impl Frame {
    /// `length` writable bytes from `offset` on.
    #[inline(always)]
    fn at(&self, offset: usize, length: usize) -> Option<*mut u8> {
        let start = self.context.data() + offset;
        (start + length <= self.context.data_end()).then_some(start as *mut u8)
    }
}

impl Buffer for Frame {
    const STAGE: Stage = Stage::Xdp;
    const L3: usize = ETHERNET_LEN;

    #[inline(always)]
    fn bytes(&self, offset: usize, length: usize) -> Option<Bytes> {
        // SAFETY: `at` checked the length against the frame's end.
        self.at(offset, length).map(|start| unsafe { Bytes::new(start) })
    }

    #[inline(always)]
    fn linear_len(&self) -> usize {
        self.context.data_end() - self.context.data()
    }

    #[inline(always)]
    fn len(&self) -> usize {
        // SAFETY: the context is valid.
        unsafe { bpf_xdp_get_buff_len(self.context.ctx) as usize }
    }

    #[inline(always)]
    fn ifindex(&self) -> u32 {
        self.context.ingress_ifindex() as u32
    }

    #[inline(always)]
    fn context(&self) -> *mut core::ffi::c_void {
        self.context.ctx.cast()
    }

    #[inline(always)]
    fn rewrite<A: IpAddress>(&mut self, packet: &Packet<A>, flow: &Flow<A>, hop: bool) -> bool {
        let Some(ip) = self.at(ETHERNET_LEN, IPV4_LEN) else {
            return false;
        };
        let l3_delta = u32::from(flow.l3_delta);
        // SAFETY: `at` checked the length; unaligned words as in `Bytes`.
        unsafe {
            let sum = ip.add(10).cast::<u16>();
            *sum =
                checksum::apply(*sum, if hop { l3_delta + u32::from(checksum::TTL_DELTA) } else { l3_delta });
            if hop {
                *ip.add(8) = packet.ttl - 1;
            }
            *ip.add(12).cast::<u32>() = flow.src_be.words()[3];
            *ip.add(16).cast::<u32>() = flow.dst_be.words()[3];
        }
        let l4_delta = u32::from(flow.l4_delta);
        let l4 = if packet.protocol == TCP {
            let Some(l4) = self.at(packet.l4, TCP_LEN) else {
                return false;
            };
            // SAFETY: as above.
            unsafe {
                let sum = l4.add(16).cast::<u16>();
                *sum = checksum::apply(*sum, l4_delta);
            }
            l4
        } else {
            let Some(l4) = self.at(packet.l4, UDP_LEN) else {
                return false;
            };
            // SAFETY: as above.
            unsafe {
                let sum = l4.add(6).cast::<u16>();
                *sum = checksum::apply_udp(*sum, l4_delta);
            }
            l4
        };
        // SAFETY: as above.
        unsafe {
            *l4.cast::<u16>() = flow.src_port_be;
            *l4.add(2).cast::<u16>() = flow.dst_port_be;
        }
        true
    }

    #[inline(always)]
    fn set_macs(&mut self, macs: &[u32; 3]) -> bool {
        let Some(frame) = self.at(0, ETHERNET_LEN) else {
            return false;
        };
        let frame = frame.cast::<u32>();
        // SAFETY: as in `rewrite`.
        unsafe {
            *frame = macs[0];
            *frame.add(1) = macs[1];
            *frame.add(2) = macs[2];
        }
        true
    }

    #[inline(always)]
    fn grow(&mut self, bytes: u32) -> bool {
        // SAFETY: the context is valid; packet pointers are derived anew below.
        if unsafe { bpf_xdp_adjust_head(self.context.ctx, -(bytes as i32)) } != 0 {
            return false;
        }
        let (Some(to), Some(from)) = (self.at(0, ETHERNET_LEN), self.at(bytes as usize, ETHERNET_LEN)) else {
            return false;
        };
        let (to, from) = (to.cast::<u16>(), from.cast::<u16>());
        for word in 0..ETHERNET_LEN / 2 {
            // SAFETY: both ranges were checked.
            unsafe { *to.add(word) = *from.add(word) };
        }
        true
    }

    #[inline(always)]
    fn cut(&mut self, length: u32) -> bool {
        let surplus = self.len() as i32 - length as i32;
        // SAFETY: the context is valid.
        surplus == 0 || unsafe { bpf_xdp_adjust_tail(self.context.ctx, -surplus) } == 0
    }

    #[inline(always)]
    fn store<const N: usize>(&mut self, offset: usize, words: &[u16; N]) -> bool {
        let Some(start) = self.at(offset, N * 2) else {
            return false;
        };
        let start = start.cast::<u16>();
        let mut index = 0;
        while index < N {
            // SAFETY: `at` checked the length.
            unsafe { *start.add(index) = words[index] };
            index += 1;
        }
        true
    }
}
