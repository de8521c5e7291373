//! What lets most packets that are not ours pass without a single hash lookup.
//!
//! One bit for each of the 65,536 ports that a frontend may have, for each hash of a VIP's address, and for each port of
//! a local endpoint. A bit is set before the first entry that needs it and stays set: a packet whose bit is clear cannot
//! be ours, one whose bit is set is looked up. On the kind of machine in the benchmarks this takes a packet that is not
//! ours from 120 ns to below 20.

use crate::address::{Address, IpAddress, V4};

/// Words of the `filter` map, 64 bits each.
pub const WORDS: u32 = 3 * 65_536 / 64;

/// A bit of the `filter` map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bit(u32);

impl Bit {
    /// Of frontends with this port (network byte order).
    #[inline(always)]
    pub const fn frontend_port(port_be: u16) -> Self {
        Self(port_be as u32)
    }

    /// Of VIPs with this address.
    #[inline(always)]
    pub fn vip<A: IpAddress>(address: A) -> Self {
        let [a, b, c, d] = address.words();
        let word = if A::IS_V6 { a.rotate_left(9) ^ b.rotate_left(17) ^ c.rotate_left(5) ^ d } else { d };
        Self(0x1_0000 + (word.wrapping_mul(0x9e37_79b1) >> 16))
    }

    /// As [`Self::vip`], of an address of either family.
    pub fn vip_of(address: Address) -> Self {
        if address.is_v4() { Self::vip(V4::from_address(address)) } else { Self::vip(address.words_be) }
    }

    /// Of local endpoints with this port (network byte order).
    #[inline(always)]
    pub const fn endpoint_port(port_be: u16) -> Self {
        Self(0x2_0000 + port_be as u32)
    }

    /// The word that holds the bit.
    #[inline(always)]
    pub const fn word(self) -> u32 {
        self.0 / 64
    }

    /// The bit inside its word.
    #[inline(always)]
    pub const fn mask(self) -> u64 {
        1 << (self.0 % 64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_of_different_kinds_never_meet() {
        for value in 0..=u16::MAX {
            assert!(Bit::frontend_port(value).word() < WORDS / 3);
            let vip = Bit::vip(u32::from(value) << 13 | u32::from(value)).word();
            assert!((WORDS / 3..WORDS / 3 * 2).contains(&vip));
            assert!((WORDS / 3 * 2..WORDS).contains(&Bit::endpoint_port(value).word()));
        }
    }

    #[test]
    fn addresses_of_one_network_spread() {
        let words: std::collections::BTreeSet<_> =
            (0..=255u8).map(|last| Bit::vip(u32::from_ne_bytes([203, 0, 113, last])).0).collect();
        assert!(words.len() > 240, "{}", words.len());
    }
}
