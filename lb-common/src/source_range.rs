//! `loadBalancerSourceRanges`: from which addresses a load-balancer IP may be used.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::address::Address;

/// Bits before the address in a key: the service id.
const SERVICE_BITS: u32 = 32;
/// Bits before an IPv4 address in its mapped form.
const MAPPED_BITS: u32 = 96;

/// Key of the LPM trie `source_ranges`, 24 bytes.
#[repr(C)]
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
)]
pub struct SourceRangeKey {
    /// Bits that count, from the first bit of `service_be` on.
    pub prefix_len: u32,
    /// Service id, network byte order: a trie compares from the most significant bit on.
    pub service_be: u32,
    /// First address of the range.
    pub address: Address,
}

impl SourceRangeKey {
    /// The range `address`/`bits` of a service; `bits` as written, at most 32 for IPv4.
    pub const fn new(service: u32, address: Address, bits: u8) -> Self {
        let bits = bits as u32 + if address.is_v4() { MAPPED_BITS } else { 0 };
        Self { prefix_len: SERVICE_BITS + bits, service_be: service.to_be(), address }
    }

    /// The key that finds the range around a client's address.
    #[inline(always)]
    pub const fn of_client(service: u32, address: Address) -> Self {
        Self { prefix_len: SERVICE_BITS + 128, service_be: service.to_be(), address }
    }

    /// Service id.
    pub const fn service(&self) -> u32 {
        u32::from_be(self.service_be)
    }

    /// Length of the prefix as written, at most 32 for IPv4.
    pub const fn bits(&self) -> u8 {
        let before = SERVICE_BITS + if self.address.is_v4() { MAPPED_BITS } else { 0 };
        self.prefix_len.saturating_sub(before) as u8
    }
}

#[cfg(test)]
mod tests {
    use core::net::IpAddr;

    use super::*;

    #[test]
    fn a_range_reads_back() {
        for (text, bits) in [("192.0.2.0", 24), ("0.0.0.0", 0), ("2001:db8::", 32), ("::", 0)] {
            let address = Address::from(text.parse::<IpAddr>().unwrap());
            let key = SourceRangeKey::new(7, address, bits);
            assert_eq!((key.service(), key.bits()), (7, bits), "{text}");
        }
        let everything = SourceRangeKey::new(1, Address::v4(0), 0);
        assert_eq!(everything.prefix_len, 128, "0.0.0.0/0 holds IPv4 addresses only");
    }
}
