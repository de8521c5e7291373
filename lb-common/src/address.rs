//! IP addresses as the tables keep them: one form for both families where it costs nothing, each family's own where a
//! packet pays for every byte.

use core::{fmt::Debug, hash::Hash, hint::black_box};

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// An IPv4 address, network byte order.
pub type V4 = u32;
/// An IPv6 address as 32-bit words in memory order, each in network byte order.
pub type V6 = [u32; 4];

/// Third word of an IPv4-mapped address, `::ffff:a.b.c.d` (RFC 4291 §2.5.5.2).
const MAPPED_BE: u32 = 0xffffu32.to_be();

/// An address of either family, 16 bytes: IPv6, or IPv4 in its IPv4-mapped form, which no packet on a wire carries.
/// All zero where there is none.
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
pub struct Address {
    /// The words, each in network byte order.
    pub words_be: V6,
}

impl Address {
    /// No address.
    pub const NONE: Self = Self { words_be: [0; 4] };

    /// An IPv4 address, network byte order.
    #[inline(always)]
    pub const fn v4(address_be: V4) -> Self {
        Self { words_be: [0, 0, MAPPED_BE, address_be] }
    }

    /// An IPv6 address.
    #[inline(always)]
    pub const fn v6(words_be: V6) -> Self {
        Self { words_be }
    }

    /// True where there is none.
    #[inline(always)]
    pub const fn is_none(&self) -> bool {
        let [a, b, c, d] = self.words_be;
        a | b | c | d == 0
    }

    /// True for an IPv4 address.
    #[inline(always)]
    pub const fn is_v4(&self) -> bool {
        let [a, b, c, _] = self.words_be;
        a | b == 0 && c == MAPPED_BE
    }
}

#[cfg(any(feature = "std", test))]
impl From<core::net::IpAddr> for Address {
    fn from(address: core::net::IpAddr) -> Self {
        match address {
            core::net::IpAddr::V4(address) => Self::v4(u32::from_ne_bytes(address.octets())),
            core::net::IpAddr::V6(address) => zerocopy::transmute!(address.octets()),
        }
    }
}

#[cfg(any(feature = "std", test))]
impl From<Address> for core::net::IpAddr {
    fn from(address: Address) -> Self {
        if address.is_v4() {
            let [.., address_be] = address.words_be;
            return Self::from(address_be.to_ne_bytes());
        }
        let octets: [u8; 16] = zerocopy::transmute!(address);
        Self::from(octets)
    }
}

/// What the packet path needs of a family's addresses.
pub trait IpAddress:
    Copy + Debug + Default + Eq + Ord + Hash + FromBytes + IntoBytes + Immutable + KnownLayout + 'static
{
    /// True for IPv6.
    const IS_V6: bool;
    /// No address.
    const NONE: Self;
    /// Source that clients on this node are given towards endpoints on this node, so that replies leave the node's
    /// stack by an uplink, where they are translated back. Link-local for IPv4 (RFC 3927), a unique local address for
    /// IPv6 (RFC 4193): nothing else may use them, and no device holds them.
    const HAIRPIN: Self;

    /// In the form that both families share.
    fn address(self) -> Address;
    /// Out of that form; of an address of the other family, some address.
    fn from_address(address: Address) -> Self;
    /// The same, moved word by word: LLVM makes a call of `memmove`, a loop over bytes on BPF, of a copy between two
    /// places in memory.
    fn apart(self) -> Self;
    /// The address by words, IPv4 in the last.
    fn words(self) -> V6;
    /// 0 where the two are equal. To be combined with others by `|`: each branch of a comparison is a way that the
    /// verifier walks to the end, and derived equality of arrays is a call on BPF.
    fn difference(self, other: Self) -> u32;

    /// Equality.
    #[inline(always)]
    fn is(self, other: Self) -> bool {
        self.difference(other) == 0
    }

    /// True where there is none.
    #[inline(always)]
    fn is_none(self) -> bool {
        self.is(Self::NONE)
    }
}

impl IpAddress for V4 {
    const IS_V6: bool = false;
    const NONE: Self = 0;
    const HAIRPIN: Self = u32::from_ne_bytes([169, 254, 83, 76]);

    #[inline(always)]
    fn address(self) -> Address {
        Address::v4(self)
    }

    #[inline(always)]
    fn from_address(address: Address) -> Self {
        address.words_be[3]
    }

    #[inline(always)]
    fn apart(self) -> Self {
        self
    }

    #[inline(always)]
    fn words(self) -> V6 {
        [0, 0, 0, self]
    }

    #[inline(always)]
    fn difference(self, other: Self) -> u32 {
        self ^ other
    }
}

impl IpAddress for V6 {
    const IS_V6: bool = true;
    const NONE: Self = [0; 4];
    const HAIRPIN: Self = [0xfd53_6c75u32.to_be(), 0x6963_6500u32.to_be(), 0, 1u32.to_be()];

    #[inline(always)]
    fn address(self) -> Address {
        Address::v6(self)
    }

    #[inline(always)]
    fn from_address(address: Address) -> Self {
        address.words_be
    }

    #[inline(always)]
    fn apart(self) -> Self {
        let [a, b, c, d] = self;
        [black_box(a), black_box(b), black_box(c), black_box(d)]
    }

    #[inline(always)]
    fn words(self) -> V6 {
        self
    }

    #[inline(always)]
    fn difference(self, other: Self) -> u32 {
        let ([a, b, c, d], [e, f, g, h]) = (self, other);
        (a ^ e) | (b ^ f) | (c ^ g) | (d ^ h)
    }
}

#[cfg(test)]
mod tests {
    use core::net::IpAddr;

    use super::*;

    #[test]
    fn an_address_of_either_family_reads_back() {
        for text in ["203.0.113.10", "2001:db8::10", "0.0.0.0", "::1"] {
            let address: IpAddr = text.parse().unwrap();
            assert_eq!(IpAddr::from(Address::from(address)), address);
            assert_eq!(Address::from(address).is_v4(), address.is_ipv4());
        }
        assert!(Address::NONE.is_none());
    }

    #[test]
    fn words_are_in_network_byte_order() {
        let v6: IpAddr = "2001:db8::10".parse().unwrap();
        assert_eq!(Address::from(v6).words_be, [0x2001_0db8u32.to_be(), 0, 0, 0x10u32.to_be()]);
        assert_eq!(V4::from_address(Address::v4(7)), 7);
    }
}
