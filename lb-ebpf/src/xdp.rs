//! A frame at XDP: direct packet access, checksums by precomputed deltas.

use aya_ebpf::{
    helpers::{bpf_xdp_adjust_head, bpf_xdp_adjust_tail, generated::bpf_xdp_get_buff_len},
    programs::XdpContext,
};
use lb_common::{
    address::IpAddress,
    checksum,
    flow::Flow,
    packet::{ETHERNET_LEN, Form, IPV4_LEN, IPV6_LEN, Packet, SCTP_LEN, TCP_LEN, UDP_LEN},
    pipeline::{Bytes, Stage},
    tcp::{SCTP, TCP},
};

use crate::{buffer::Buffer, parts::sctp_checksum_change};

pub(crate) struct Frame {
    pub(crate) context: XdpContext,
}

impl Frame {
    /// `length` writable bytes from `offset` on.
    #[inline(always)]
    pub(crate) fn at(&self, offset: usize, length: usize) -> Option<*mut u8> {
        let start = self.context.data() + offset;
        (start + length <= self.context.data_end()).then_some(start as *mut u8)
    }

    /// Puts `bytes` between the link-layer header and the packet.
    ///
    /// Growing and shrinking are two functions, whose offsets have no sign: the verifier of Linux 6.1 takes an offset
    /// with one for less than zero, whatever it was compared with.
    #[inline(always)]
    fn widen(&mut self, bytes: u32) -> bool {
        self.adjust_head(-(bytes as i32)) && self.copy_link_header(bytes as usize, 0)
    }

    /// Takes `bytes` away behind the link-layer header.
    #[inline(always)]
    fn narrow(&mut self, bytes: u32) -> bool {
        self.copy_link_header(0, bytes as usize) && self.adjust_head(bytes as i32)
    }

    #[inline(always)]
    fn adjust_head(&mut self, bytes: i32) -> bool {
        // SAFETY: the context is valid; packet pointers are derived anew afterwards.
        unsafe { bpf_xdp_adjust_head(self.context.ctx, bytes) == 0 }
    }

    #[inline(always)]
    fn copy_link_header(&self, from: usize, to: usize) -> bool {
        let (Some(from), Some(to)) = (self.at(from, ETHERNET_LEN), self.at(to, ETHERNET_LEN)) else {
            return false;
        };
        let (from, to) = (from.cast::<u16>(), to.cast::<u16>());
        let mut words = [0u16; ETHERNET_LEN / 2];
        // The two may overlap: all is read before anything is written.
        for (index, word) in words.iter_mut().enumerate() {
            // SAFETY: the range was checked.
            *word = unsafe { *from.add(index) };
        }
        for (index, word) in words.iter().enumerate() {
            // SAFETY: as above.
            unsafe { *to.add(index) = *word };
        }
        true
    }

    #[inline(always)]
    fn rewrite_ip<A: IpAddress>(&mut self, packet: &Packet<A>, flow: &Flow<A>, hop: bool) -> Option<()> {
        if A::IS_V6 {
            let ip = self.at(ETHERNET_LEN, IPV6_LEN)?;
            let (src, dst) = (flow.src_be.words(), flow.dst_be.words());
            // SAFETY: `at` checked the length; unaligned words as in `Bytes`.
            unsafe {
                if hop {
                    *ip.add(7) = packet.ttl - 1;
                }
                for word in 0..4 {
                    *ip.add(8).cast::<u32>().add(word) = src[word];
                    *ip.add(24).cast::<u32>().add(word) = dst[word];
                }
            }
            return Some(());
        }
        let ip = self.at(ETHERNET_LEN, IPV4_LEN)?;
        let delta = u32::from(flow.l3_delta);
        // SAFETY: as above.
        unsafe {
            let sum = ip.add(10).cast::<u16>();
            *sum = checksum::apply(*sum, if hop { delta + u32::from(checksum::TTL_DELTA) } else { delta });
            if hop {
                *ip.add(8) = packet.ttl - 1;
            }
            *ip.add(12).cast::<u32>() = flow.src_be.words()[3];
            *ip.add(16).cast::<u32>() = flow.dst_be.words()[3];
        }
        Some(())
    }

    #[inline(always)]
    fn rewrite_transport<A: IpAddress>(&mut self, packet: &Packet<A>, flow: &Flow<A>) -> Option<()> {
        let delta = u32::from(flow.l4_delta);
        let l4 = match packet.protocol {
            TCP => {
                let l4 = self.at(packet.l4, TCP_LEN)?;
                // SAFETY: as in `rewrite_ip`.
                unsafe {
                    let sum = l4.add(16).cast::<u16>();
                    *sum = checksum::apply(*sum, delta);
                }
                l4
            }
            SCTP => {
                let l4 = self.at(packet.l4, SCTP_LEN)?;
                let ports = |src: u16, dst: u16| u32::from(src) | u32::from(dst) << 16;
                let key = packet.key;
                let difference =
                    ports(key.src_port_be, key.dst_port_be) ^ ports(flow.src_port_be, flow.dst_port_be);
                let length = packet.total_len.wrapping_sub((packet.l4 - ETHERNET_LEN) as u32);
                // SAFETY: as in `rewrite_ip`.
                unsafe { *l4.add(8).cast::<u32>() ^= sctp_checksum_change(difference, length) };
                l4
            }
            _ => {
                let l4 = self.at(packet.l4, UDP_LEN)?;
                // SAFETY: as in `rewrite_ip`.
                unsafe {
                    let sum = l4.add(6).cast::<u16>();
                    *sum = checksum::apply_udp(*sum, delta);
                }
                l4
            }
        };
        // SAFETY: as in `rewrite_ip`.
        unsafe {
            *l4.cast::<u16>() = flow.src_port_be;
            *l4.add(2).cast::<u16>() = flow.dst_port_be;
        }
        Some(())
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

    /// A frame is sent as it came.
    #[inline(always)]
    fn segment_payload(&self) -> u32 {
        0
    }

    /// Headers are in the first buffer always.
    #[inline(always)]
    fn pull(&mut self, _length: usize) {}

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
        self.rewrite_ip(packet, flow, hop).is_some()
            && (packet.form == Form::LATER_FRAGMENT || self.rewrite_transport(packet, flow).is_some())
    }

    #[inline(always)]
    fn set_macs(&mut self, macs: &[u32; 3]) -> bool {
        let Some(frame) = self.at(0, ETHERNET_LEN) else {
            return false;
        };
        let frame = frame.cast::<u32>();
        // SAFETY: as in `rewrite_ip`.
        unsafe {
            *frame = macs[0];
            *frame.add(1) = macs[1];
            *frame.add(2) = macs[2];
        }
        true
    }

    #[inline(always)]
    fn grow(&mut self, bytes: u32) -> bool {
        self.widen(bytes)
    }

    #[inline(always)]
    fn encapsulate(&mut self, bytes: u32, _v6: bool) -> bool {
        self.widen(bytes)
    }

    #[inline(always)]
    fn decapsulate(&mut self, bytes: u32) -> bool {
        self.narrow(bytes)
    }

    #[inline(always)]
    fn resize(&mut self, length: u32) -> bool {
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
