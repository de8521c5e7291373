//! Headers that Sluice writes itself, as 16-bit words in memory order.

use super::Hook;
use crate::{
    address::{IpAddress, V4, V6},
    checksum,
};

/// TTL of packets that we originate (RFC 1122 §3.2.1.7 recommends 64).
const TTL: u8 = 64;

/// Writes an IP header of the hook's family at the start of the packet.
#[inline(always)]
pub(super) fn store_ip<H: Hook>(
    hook: &mut H,
    payload_len: u16,
    protocol: u8,
    src: H::Address,
    dst: H::Address,
) -> bool {
    if H::Address::IS_V6 {
        let words = ipv6(payload_len, protocol, src.words(), dst.words());
        hook.store(H::L3, &words)
    } else {
        let words = ipv4(payload_len, protocol, src.words()[3], dst.words()[3]);
        hook.store(H::L3, &words)
    }
}

/// Sum of the pseudo-header of a checksum (RFC 9293 §3.1, RFC 8200 §8.1).
#[inline(always)]
pub(super) fn pseudo<A: IpAddress>(src: A, dst: A, protocol: u8, len: u16) -> u64 {
    let mut total = u64::from(u16::from(protocol).to_be()) + u64::from(len.to_be());
    let (src, dst) = (src.words(), dst.words());
    let mut index = 0;
    while index < 4 {
        total += u64::from(src[index]) + u64::from(dst[index]);
        index += 1;
    }
    total
}

/// Sum of words.
#[inline(always)]
pub(super) fn sum<const N: usize>(words: &[u16; N]) -> u64 {
    let mut total = 0u64;
    let mut index = 0;
    while index < N {
        total += u64::from(words[index]);
        index += 1;
    }
    total
}

/// The halves of a 32-bit word as it stands in memory.
#[inline(always)]
pub(super) const fn halves(word: u32) -> [u16; 2] {
    let bytes = word.to_ne_bytes();
    [u16::from_ne_bytes([bytes[0], bytes[1]]), u16::from_ne_bytes([bytes[2], bytes[3]])]
}

/// Identification 0 with DF is what Linux sends for such packets (RFC 6864 §4.1).
#[inline(always)]
fn ipv4(payload_len: u16, protocol: u8, src: V4, dst: V4) -> [u16; 10] {
    let (src, dst) = (halves(src), halves(dst));
    let mut words = [
        u16::from_ne_bytes([0x45, 0]),
        (payload_len + 20).to_be(),
        0,
        0x4000u16.to_be(),
        u16::from_ne_bytes([TTL, protocol]),
        0,
        src[0],
        src[1],
        dst[0],
        dst[1],
    ];
    words[5] = !checksum::fold(sum(&words));
    words
}

#[inline(always)]
fn ipv6(payload_len: u16, protocol: u8, src: V6, dst: V6) -> [u16; 20] {
    let mut words = [0; 20];
    words[0] = u16::from_ne_bytes([0x60, 0]);
    words[2] = payload_len.to_be();
    words[3] = u16::from_ne_bytes([protocol, TTL]);
    let mut index = 0;
    while index < 4 {
        let (src, dst) = (halves(src[index]), halves(dst[index]));
        words[4 + index * 2] = src[0];
        words[5 + index * 2] = src[1];
        words[12 + index * 2] = dst[0];
        words[13 + index * 2] = dst[1];
        index += 1;
    }
    words
}
