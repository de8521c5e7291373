//! Packet bytes whose length was checked.

/// Bytes of a packet from some offset on.
///
/// Reads are of naturally sized words at whatever alignment the packet has: byte-wise loads would cost a third more
/// instructions on BPF, whose JITs run on machines with efficient unaligned access.
#[derive(Clone, Copy)]
pub struct Bytes {
    start: *const u8,
}

impl Bytes {
    /// Bytes at `start`.
    ///
    /// # Safety
    /// As many bytes as the caller will read must be readable at `start`, for as long as the value is used; nothing may
    /// resize the packet meanwhile.
    #[inline(always)]
    pub const unsafe fn new(start: *const u8) -> Self {
        Self { start }
    }

    /// A byte.
    #[inline(always)]
    pub const fn u8(self, offset: usize) -> u8 {
        // SAFETY: `new`'s caller vouches for the length.
        unsafe { *self.start.add(offset) }
    }

    /// A 16-bit word as it stands in memory.
    #[inline(always)]
    pub const fn u16(self, offset: usize) -> u16 {
        // SAFETY: as above; the verifier accepts any alignment where the JIT's machine does.
        unsafe { load(self.start.add(offset).cast()) }
    }

    /// A 32-bit word as it stands in memory.
    #[inline(always)]
    pub const fn u32(self, offset: usize) -> u32 {
        // SAFETY: as above.
        unsafe { load(self.start.add(offset).cast()) }
    }
}

#[cfg(target_arch = "bpf")]
#[inline(always)]
const unsafe fn load<T: Copy>(from: *const T) -> T {
    // SAFETY: readable by the caller's word. A plain load, because `read_unaligned` becomes byte loads on this target.
    unsafe { *from }
}

#[cfg(not(target_arch = "bpf"))]
#[inline(always)]
const unsafe fn load<T: Copy>(from: *const T) -> T {
    // SAFETY: readable by the caller's word.
    unsafe { from.read_unaligned() }
}
