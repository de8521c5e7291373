//! The SCTP checksum, incrementally.
//!
//! CRC32c (RFC 9260 appendix A) is linear: what a change of the ports does to it depends on the change and on how many
//! bytes follow, not on what they are. A packet is therefore never read to its end, and a wrong checksum stays wrong.

use core::hint::black_box;

/// CRC32c polynomial, bits reflected.
const POLYNOMIAL: u32 = 0x82f6_3b78;
/// `x^(8·n·16^k)` modulo the polynomial, reflected: the factor of n·16^k zero bytes, for each hexadecimal digit n of a
/// length.
const ZERO_BYTES: [[u32; 16]; 4] = powers();

/// Product of two polynomials modulo the CRC's, bits reflected.
const fn multiply(a: u32, b: u32) -> u32 {
    let (mut product, mut factor) = (0, b);
    let mut bit = 0;
    while bit < 32 {
        // The highest bit of `a` is the lowest power.
        product ^= factor & mask(a >> (31 - bit));
        factor = (factor >> 1) ^ (POLYNOMIAL & mask(factor));
        bit += 1;
    }
    product
}

/// All ones where the lowest bit is set.
const fn mask(value: u32) -> u32 {
    0u32.wrapping_sub(value & 1)
}

/// As [`multiply`], without the branches that LLVM makes of it: the verifier would walk both sides of each, 256 in a row.
#[inline(always)]
fn multiply_straight(a: u32, b: u32) -> u32 {
    let (mut product, mut factor) = (0, b);
    for bit in 0..32 {
        product ^= factor & black_box(mask(a >> (31 - bit)));
        factor = (factor >> 1) ^ (POLYNOMIAL & black_box(mask(factor)));
    }
    product
}

const fn powers() -> [[u32; 16]; 4] {
    let mut powers = [[0; 16]; 4];
    // x^8, reflected.
    let mut step = 1 << (31 - 8);
    let mut digit = 0;
    while digit < 4 {
        let mut power = 1 << 31;
        let mut n = 0;
        while n < 16 {
            powers[digit][n] = power;
            power = multiply(power, step);
            n += 1;
        }
        step = power;
        digit += 1;
    }
    powers
}

/// What to XOR to the checksum field (as it stands in memory, little-endian) when the first four bytes of a packet of
/// `len` bytes, the ports, change by `difference` (their XOR, as it stands in memory).
#[inline(always)]
pub fn checksum_change(difference: u32, len: u32) -> u32 {
    let mut change = u32::from_le(difference);
    for digit in 0..4 {
        change = multiply_straight(ZERO_BYTES[digit][(len >> (4 * digit)) as usize & 0xf], change);
    }
    change.to_le()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Bit by bit, from the definition.
    fn crc32c(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(!0u32, |crc, byte| {
            (0..8)
                .fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ if crc & 1 == 1 { POLYNOMIAL } else { 0 })
        })
    }

    #[test]
    fn the_check_value_of_the_catalogue() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    proptest! {
        #[test]
        fn a_change_of_ports_changes_the_checksum_as_computing_it_anew_does(
            mut packet in prop::collection::vec(any::<u8>(), 12..2000), ports: [u8; 4]
        ) {
            packet[8..12].fill(0);
            let before = crc32c(&packet).to_le();
            let old = u32::from_ne_bytes([packet[0], packet[1], packet[2], packet[3]]);
            packet[..4].copy_from_slice(&ports);
            let change = checksum_change(old ^ u32::from_ne_bytes(ports), packet.len() as u32);
            prop_assert_eq!(before ^ change, crc32c(&packet).to_le());
        }
    }
}
