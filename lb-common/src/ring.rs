//! Where rings live: every service owns a power-of-two run of chunks of one flat array.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Slots of a chunk: one cache line.
pub const CHUNK_SLOTS: usize = 16;

/// Sixteen consecutive slots; each holds a backend index.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct RingChunk {
    /// Backend indices.
    pub slots: [u32; CHUNK_SLOTS],
}

/// Ring sizes: the largest prime below each power of two from 2^8 to 2^17, so that a ring fills its run of chunks and
/// keeps its size (and with it nearly every slot) while the number of endpoints changes within the class.
pub const SIZES: [u32; 10] = [251, 509, 1021, 2039, 4093, 8191, 16381, 32749, 65521, 131_071];

/// Slots per endpoint that keep the share of the fullest and the emptiest within one per cent (Maglev, NSDI'16, §5.3).
pub const SLOTS_PER_BACKEND: u32 = 100;

/// Most endpoints of one ring.
pub const MAX_BACKENDS: usize = (SIZES[SIZES.len() - 1] / SLOTS_PER_BACKEND) as usize;

/// The ring size for `backends` endpoints: the smallest of [`SIZES`] with [`SLOTS_PER_BACKEND`] for each, the largest
/// beyond [`MAX_BACKENDS`], 0 for none.
pub const fn size_for(backends: usize) -> u32 {
    if backends == 0 {
        return 0;
    }
    let mut class = 0;
    while class + 1 < SIZES.len() && (SIZES[class] as usize) < backends * SLOTS_PER_BACKEND as usize {
        class += 1;
    }
    SIZES[class]
}

/// Chunks that a ring of `size` slots takes: a power of two.
pub const fn chunks(size: u32) -> u32 {
    if size == 0 { 0 } else { (size.next_power_of_two()) / CHUNK_SLOTS as u32 }
}

/// The slot of a ring of `size` slots for a flow's hash (Lemire's multiply-shift instead of a division).
#[inline(always)]
pub const fn slot(hash: u32, size: u32) -> u32 {
    ((hash as u64 * size as u64) >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_size_is_prime_and_fills_its_chunks() {
        for size in SIZES {
            assert!((2..size).take_while(|d| d * d <= size).all(|d| size % d != 0), "{size}");
            assert_eq!(chunks(size) * CHUNK_SLOTS as u32, size.next_power_of_two());
        }
    }

    #[test]
    fn a_ring_has_a_hundred_slots_for_each_endpoint_and_at_least_251() {
        assert_eq!(size_for(0), 0);
        assert_eq!(size_for(1), 251);
        for backends in 1..=MAX_BACKENDS {
            assert!(size_for(backends) as usize >= backends * 100, "{backends}");
        }
        assert_eq!(size_for(MAX_BACKENDS + 1), 131_071);
    }

    #[test]
    fn a_slot_lies_inside_the_ring() {
        assert_eq!(slot(0, 251), 0);
        assert_eq!(slot(u32::MAX, 251), 250);
    }
}
