//! Address ranges.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use serde::{Deserialize, Serialize};

use crate::object::IpFamily;

/// An address range such as `198.51.100.0/24`; a plain address is the range of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cidr {
    network: IpAddr,
    length: u8,
}

/// Why a text is no [`Cidr`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CidrError {
    /// The part before the slash.
    #[error("{0:?} is not an IP address; write a range as ADDRESS/LENGTH, for example 198.51.100.0/24")]
    Address(String),
    /// The part after the slash.
    #[error("{length:?} is not a prefix length of {address}; it must be a number from 0 to {longest}")]
    Length {
        /// What was written.
        length: String,
        /// The address before it.
        address: IpAddr,
        /// The address family's longest prefix.
        longest: u8,
    },
    /// An IPv4 address in IPv6 clothes: no packet carries one.
    #[error("{address} is an IPv4-mapped IPv6 address; write the IPv4 range, for example {v4}/32")]
    Mapped {
        /// The address as written.
        address: Ipv6Addr,
        /// The IPv4 address in it.
        v4: Ipv4Addr,
    },
    /// Bits set beyond the prefix: more often a slip than meant.
    #[error("{address}/{length} has bits set beyond its prefix; did you mean {meant}?")]
    HostBits {
        /// The address as written.
        address: IpAddr,
        /// The prefix length.
        length: u8,
        /// The range that holds the address.
        meant: Cidr,
    },
}

/// The address as a number whose uppermost bit is the address's first, and the longest prefix of its family.
fn bits(address: IpAddr) -> (u128, u8) {
    match address {
        IpAddr::V4(address) => (u128::from(address.to_bits()) << 96, 32),
        IpAddr::V6(address) => (address.to_bits(), 128),
    }
}

fn mask(length: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0)
}

impl Cidr {
    /// The range of `length` leading bits that holds `address`.
    pub fn holding(address: IpAddr, length: u8) -> Self {
        let masked = bits(address).0 & mask(length);
        let network = match address {
            IpAddr::V4(_) => IpAddr::V4(((masked >> 96) as u32).into()),
            IpAddr::V6(_) => IpAddr::V6(masked.into()),
        };
        Self { network, length }
    }

    /// The range that a text means, bits beyond the prefix dropped as the Kubernetes API does.
    ///
    /// # Errors
    /// Where the text is no range.
    pub fn parse_masked(text: &str) -> Result<Self, CidrError> {
        match text.parse() {
            Err(CidrError::HostBits { meant, .. }) => Ok(meant),
            other => other,
        }
    }

    /// Its first address.
    pub const fn network(&self) -> IpAddr {
        self.network
    }

    /// Its leading bits that count.
    pub const fn length(&self) -> u8 {
        self.length
    }

    /// Its family.
    pub const fn family(&self) -> IpFamily {
        IpFamily::of(self.network)
    }

    /// True where `address` is of the range's family and inside it.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.network.is_ipv4() == address.is_ipv4() && Self::holding(address, self.length) == *self
    }
}

impl FromStr for Cidr {
    type Err = CidrError;

    fn from_str(text: &str) -> Result<Self, CidrError> {
        let (address, length) =
            text.split_once('/').map_or((text, None), |(address, length)| (address, Some(length)));
        let address: IpAddr = address.parse().map_err(|_| CidrError::Address(address.to_owned()))?;
        if let IpAddr::V6(v6) = address
            && let Some(v4) = v6.to_ipv4_mapped()
        {
            return Err(CidrError::Mapped { address: v6, v4 });
        }
        let longest = bits(address).1;
        let length = match length {
            None => longest,
            Some(written) => written
                .parse()
                .ok()
                .filter(|length| *length <= longest)
                .ok_or_else(|| CidrError::Length { length: written.to_owned(), address, longest })?,
        };
        let range = Self::holding(address, length);
        if range.network == address {
            Ok(range)
        } else {
            Err(CidrError::HostBits { address, length, meant: range })
        }
    }
}

impl TryFrom<String> for Cidr {
    type Error = CidrError;

    fn try_from(text: String) -> Result<Self, CidrError> {
        text.parse()
    }
}

impl From<Cidr> for String {
    fn from(range: Cidr) -> Self {
        range.to_string()
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Cidr, String> {
        text.parse().map_err(|error: CidrError| error.to_string())
    }

    #[test]
    fn a_range_holds_its_addresses_and_no_others() {
        let range = parse("198.51.100.0/25").unwrap();
        assert!(range.contains("198.51.100.127".parse().unwrap()));
        assert!(!range.contains("198.51.100.128".parse().unwrap()));
        assert!(!range.contains("::198.51.100.1".parse().unwrap()));
        assert!(parse("0.0.0.0/0").unwrap().contains("255.255.255.255".parse().unwrap()));
        assert!(!parse("::/0").unwrap().contains("1.2.3.4".parse().unwrap()));
        assert!(parse("2001:db8::/32").unwrap().contains("2001:db8::1".parse().unwrap()));
    }

    #[test]
    fn a_plain_address_is_a_range_of_one() {
        assert_eq!(parse("192.0.2.1").unwrap().to_string(), "192.0.2.1/32");
    }

    #[test]
    fn a_masked_range_is_the_one_that_holds_the_address() {
        let masked = |text| Cidr::parse_masked(text).map(|range| range.to_string());
        assert_eq!(masked("10.0.0.7/24").unwrap(), "10.0.0.0/24");
        assert_eq!(masked("2001:db8::7/64").unwrap(), "2001:db8::/64");
        assert!(masked("10.0.0.0/33").is_err());
    }

    #[test]
    fn an_error_says_what_is_wrong_and_what_to_write() {
        assert_eq!(
            parse("198.51.100/24").unwrap_err(),
            "\"198.51.100\" is not an IP address; write a range as ADDRESS/LENGTH, for example 198.51.100.0/24"
        );
        assert_eq!(
            parse("10.0.0.0/33").unwrap_err(),
            "\"33\" is not a prefix length of 10.0.0.0; it must be a number from 0 to 32"
        );
        assert_eq!(
            parse("::ffff:10.0.0.7/120").unwrap_err(),
            "::ffff:10.0.0.7 is an IPv4-mapped IPv6 address; write the IPv4 range, for example 10.0.0.7/32",
        );
        assert_eq!(
            parse("10.0.0.7/24").unwrap_err(),
            "10.0.0.7/24 has bits set beyond its prefix; did you mean 10.0.0.0/24?"
        );
    }
}
