//! The Internet checksum, incrementally (RFC 1071, RFC 1624).
//!
//! Sums are over 16-bit words as they stand in memory: one's complement addition does not care about byte order as
//! long as all words share it (RFC 1071 §2 B).

use crate::address::IpAddress;

/// Folds a sum to 16 bits with end-around carry.
#[inline(always)]
pub const fn fold(sum: u64) -> u16 {
    let sum = (sum >> 32) + (sum & 0xffff_ffff);
    let sum = (sum >> 16) + (sum & 0xffff);
    let sum = (sum >> 16) + (sum & 0xffff);
    let sum = (sum >> 16) + (sum & 0xffff);
    sum as u16
}

/// One's complement sum of the two words of `value`.
#[inline(always)]
const fn words(value: u32) -> u64 {
    ((value >> 16) + (value & 0xffff)) as u64
}

/// What to add to a checksum when a 32-bit field changes from `old` to `new`: m' - m in one's complement
/// (RFC 1624 eqn. 3, on the sum before its complement is taken).
#[inline(always)]
pub const fn delta32(old: u32, new: u32) -> u16 {
    fold(words(!old) + words(new))
}

/// As [`delta32`] for a 16-bit field.
#[inline(always)]
pub const fn delta16(old: u16, new: u16) -> u16 {
    fold(!old as u64 + new as u64)
}

/// As [`delta32`] for an address.
#[inline(always)]
pub fn delta_address<A: IpAddress>(old: A, new: A) -> u16 {
    if !A::IS_V6 {
        return delta32(old.words()[3], new.words()[3]);
    }
    let (old, new) = (old.words(), new.words());
    let mut sum = 0;
    let mut index = 0;
    while index < 4 {
        sum += words(!old[index]) + words(new[index]);
        index += 1;
    }
    fold(sum)
}

/// Two deltas in one.
#[inline(always)]
pub const fn combine(a: u16, b: u16) -> u16 {
    fold(a as u64 + b as u64)
}

/// What one hop does to the IPv4 header's words: the TTL, first byte of its 16-bit word, loses one.
pub const TTL_DELTA: u16 = !u16::from_ne_bytes([1, 0]);

/// A checksum field after the words it covers changed by `delta`, which may be the sum of several deltas.
#[inline(always)]
pub const fn apply(checksum: u16, delta: u32) -> u16 {
    let sum = !checksum as u32 + delta;
    let sum = (sum >> 16) + (sum & 0xffff);
    !((sum >> 16) + sum) as u16
}

/// A UDP checksum field after a change: 0 says "none" and stays, a computed 0 is sent as all ones (RFC 768).
#[inline(always)]
pub const fn apply_udp(checksum: u16, delta: u32) -> u16 {
    if checksum == 0 {
        return 0;
    }
    match apply(checksum, delta) {
        0 => 0xffff,
        sum => sum,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn full(words: &[u16]) -> u16 {
        !fold(words.iter().map(|word| u64::from(*word)).sum())
    }

    proptest! {
        #[test]
        fn a_change_by_delta_equals_a_fresh_sum(
            mut data in prop::collection::vec(any::<u16>(), 4..40), low in any::<u16>(), high in any::<u16>()
        ) {
            // A header never sums to zero words only (the version nibble is set), which is where the two zeros of
            // one's complement would differ.
            data[3] |= 1;
            let before = full(&data);
            let old = u32::from(data[0]) | u32::from(data[1]) << 16;
            let new = u32::from(low) | u32::from(high) << 16;
            data[0] = low;
            data[1] = high;
            prop_assert_eq!(apply(before, u32::from(delta32(old, new))), full(&data));
            let delta = combine(delta16(old as u16, low), delta16((old >> 16) as u16, high));
            prop_assert_eq!(apply(before, u32::from(delta)), full(&data));
        }

        #[test]
        fn udp_without_a_checksum_keeps_none_and_one_with_keeps_one(sum in 1u16.., delta in 0u32..0x2_0000) {
            prop_assert_eq!(apply_udp(0, delta), 0);
            prop_assert_ne!(apply_udp(sum, delta), 0);
        }
    }

    #[test]
    fn a_hop_is_the_delta_of_its_ttl() {
        let word = |ttl| u16::from_ne_bytes([ttl, 6]);
        for ttl in 1..=255 {
            assert_eq!(
                apply(0x1234, u32::from(TTL_DELTA)),
                apply(0x1234, u32::from(delta16(word(ttl), word(ttl - 1))))
            );
        }
    }

    #[test]
    fn the_example_of_rfc_1624() {
        assert_eq!(apply(0xdd2f, u32::from(delta16(0x5555, 0x3285))), 0x0000);
    }
}
