//! VLAN tags: taken off before the pipeline sees a frame, put back, or replaced, before it leaves.

use aya_ebpf::helpers::bpf_xdp_adjust_head;
use lb_common::packet::{ETHERNET_LEN, ETHERTYPE_QINQ_BE, ETHERTYPE_VLAN_BE, VLAN_TAG_LEN};

use crate::xdp::Frame;

/// Tags of a frame, the outer first: EtherType and tag control information, as they stand in memory. Zeros where there
/// are none.
#[derive(Clone, Copy)]
pub(crate) struct Tags {
    pub(crate) outer: [u16; 2],
    pub(crate) inner: [u16; 2],
}

impl Tags {
    pub(crate) const NONE: Self = Self { outer: [0; 2], inner: [0; 2] };

    /// One number, for a call: what is passed in a register takes no stack. Linux before 6.6 rounds each function's part
    /// of the 512 bytes up to 32 (`check_max_stack_depth` in kernel/bpf/verifier.c).
    #[inline(always)]
    pub(crate) const fn to_bits(self) -> u64 {
        let [a, b] = self.outer;
        let [c, d] = self.inner;
        a as u64 | (b as u64) << 16 | (c as u64) << 32 | (d as u64) << 48
    }

    #[inline(always)]
    pub(crate) const fn from_bits(bits: u64) -> Self {
        Self { outer: [bits as u16, (bits >> 16) as u16], inner: [(bits >> 32) as u16, (bits >> 48) as u16] }
    }

    #[inline(always)]
    const fn len(&self) -> usize {
        if self.outer[0] == 0 {
            0
        } else if self.inner[0] == 0 {
            VLAN_TAG_LEN
        } else {
            2 * VLAN_TAG_LEN
        }
    }
}

#[inline(always)]
const fn is_tag(ethertype_be: u16) -> bool {
    matches!(ethertype_be, ETHERTYPE_VLAN_BE | ETHERTYPE_QINQ_BE)
}

/// Offset of the first tag: behind the addresses.
const AT: usize = 12;

impl Frame {
    /// Takes up to two tags off. None where the frame is too short.
    #[inline(always)]
    pub(crate) fn untag(&mut self) -> Option<Tags> {
        let start = self.at(0, ETHERNET_LEN)?.cast::<u16>();
        // SAFETY: `at` checked the length.
        if !is_tag(unsafe { *start.add(AT / 2) }) {
            return Some(Tags::NONE);
        }
        self.take_tags()
    }

    #[inline(always)]
    fn take_tags(&mut self) -> Option<Tags> {
        let start = self.at(0, ETHERNET_LEN + VLAN_TAG_LEN)?.cast::<u16>();
        // SAFETY: as above, here and below.
        let word = |start: *const u16, index: usize| unsafe { *start.add(index) };
        let mut tags = Tags { outer: [word(start, 6), word(start, 7)], inner: [0; 2] };
        if is_tag(word(start, 8)) {
            let start = self.at(0, ETHERNET_LEN + 2 * VLAN_TAG_LEN)?.cast::<u16>();
            tags.inner = [word(start, 8), word(start, 9)];
        }
        self.move_addresses(tags.len() as i32)?;
        Some(tags)
    }

    /// Puts tags on.
    #[inline(always)]
    pub(crate) fn tag(&mut self, tags: &Tags) -> Option<()> {
        if tags.outer[0] == 0 {
            return Some(());
        }
        self.move_addresses(-(tags.len() as i32))?;
        let start = self.at(0, ETHERNET_LEN + VLAN_TAG_LEN)?.cast::<u16>();
        // SAFETY: as above.
        unsafe {
            *start.add(6) = tags.outer[0];
            *start.add(7) = tags.outer[1];
        }
        if tags.inner[0] != 0 {
            let start = self.at(0, ETHERNET_LEN + 2 * VLAN_TAG_LEN)?.cast::<u16>();
            // SAFETY: as above.
            unsafe {
                *start.add(8) = tags.inner[0];
                *start.add(9) = tags.inner[1];
            }
        }
        Some(())
    }

    /// Moves the start of the frame by `bytes`, and the two addresses with it.
    #[inline(always)]
    fn move_addresses(&mut self, bytes: i32) -> Option<()> {
        let start = self.at(0, AT)?.cast::<u32>();
        // SAFETY: `at` checked the length.
        let addresses = unsafe { [*start, *start.add(1), *start.add(2)] };
        // SAFETY: the context is valid; packet pointers are derived anew below.
        if unsafe { bpf_xdp_adjust_head(self.context.ctx, bytes) } != 0 {
            return None;
        }
        let start = self.at(0, AT)?.cast::<u32>();
        for (index, word) in addresses.into_iter().enumerate() {
            // SAFETY: as above.
            unsafe { *start.add(index) = word };
        }
        Some(())
    }
}
