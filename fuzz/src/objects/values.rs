//! Single values: mostly from a few that collide, sometimes anything.

use std::net::{Ipv4Addr, Ipv6Addr};

use arbitrary::{Arbitrary, Result, Unstructured};

/// Repeats at most this often: enough for rings of several sizes.
const LONGEST: u16 = 160;

/// Of the objects and ports.
const NAMES: [&str; 12] =
    ["a", "b", "web", "http", "http IPv6", "", "A", "-a", "a.b", "naïve", "a\u{0}b", "\u{202e}a: ---\n- b"];
/// Addresses of nodes, devices, pods, Services, nobody, and texts that are none.
const ADDRESSES: [&str; 24] = [
    "203.0.113.1",
    "203.0.113.2",
    "203.0.113.250",
    "198.51.100.1",
    "192.0.2.1",
    "192.0.2.2",
    "10.99.0.2",
    "10.244.1.7",
    "2001:db8:1::1",
    "2001:db8:1::2",
    "2001:db8::1",
    "fe80::1",
    "::1",
    "::",
    "0.0.0.0",
    "127.0.0.1",
    "255.255.255.255",
    "224.0.0.1",
    "::ffff:203.0.113.1",
    "203.0.113.01",
    "203.0.113.256",
    "",
    "None",
    "1.2.3.4 ",
];
const RANGES: [&str; 12] = [
    "0.0.0.0/0",
    "::/0",
    "10.244.1.0/24",
    "203.0.113.0/24",
    "203.0.113.1/32",
    "10.0.0.7/8",
    "2001:db8:1::/64",
    "10.0.0.0/33",
    "10.0.0.0",
    "/",
    "10.0.0.0/-1",
    "::1/129",
];
const NUMBERS: [i64; 16] = [
    80,
    443,
    30_000,
    32_000,
    4443,
    1,
    65_535,
    0,
    -1,
    65_536,
    86_400,
    86_401,
    10_800,
    2_147_483_647,
    -2_147_483_648,
    i64::MAX,
];
const TIMES: [&str; 6] = [
    "2026-01-01T00:00:00Z",
    "2026-01-02T00:00:00Z",
    "1969-12-31T23:59:59Z",
    "9999-12-30T22:00:00.999999999Z",
    "-009999-01-02T01:59:59Z",
    "yesterday",
];
const PROTOCOLS: [&str; 6] = ["TCP", "UDP", "SCTP", "", "tcp", "ICMP"];

/// A text of one of these, or any text.
fn one_of(u: &mut Unstructured<'_>, texts: &[&str]) -> Result<String> {
    if u.ratio(1, 16)? { String::arbitrary(u) } else { Ok((*u.choose(texts)?).to_owned()) }
}

macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident of $texts:ident),+ $(,)?) => {
        $($(#[$doc])*
        #[derive(Clone, Debug)]
        pub(super) struct $name(pub(super) String);

        impl<'a> Arbitrary<'a> for $name {
            fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
                one_of(u, &$texts).map(Self)
            }
        })+
    };
}

texts! {
    /// A range of addresses.
    Range of RANGES,
    /// A time.
    Time of TIMES,
    /// A protocol.
    Protocol of PROTOCOLS,
}

/// A name, now and then of a length about the longest that the API and the maps take.
#[derive(Clone, Debug)]
pub(super) struct Name(pub(super) String);

impl<'a> Arbitrary<'a> for Name {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        if u.ratio(1, 8)? {
            return Ok(Self("n".repeat(*u.choose(&[62, 63, 64, 192, 253, 254])?)));
        }
        one_of(u, &NAMES).map(Self)
    }
}

/// An address.
#[derive(Clone, Debug)]
pub(super) struct Address(pub(super) String);

impl<'a> Arbitrary<'a> for Address {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Ok(Self(match u.int_in_range(0..=15)? {
            0 => Ipv4Addr::from(u32::arbitrary(u)?).to_string(),
            1 => Ipv6Addr::from(u128::arbitrary(u)?).to_string(),
            2 => String::arbitrary(u)?,
            _ => (*u.choose(&ADDRESSES)?).to_owned(),
        }))
    }
}

/// A number where a port, seconds or anything else is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Number(pub(super) i64);

impl<'a> Arbitrary<'a> for Number {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Ok(Self(if u.ratio(1, 8)? { i64::arbitrary(u)? } else { *u.choose(&NUMBERS)? }))
    }
}

/// How many of something: mostly one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times(pub(super) u16);

impl<'a> Arbitrary<'a> for Times {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Ok(Self(if u.ratio(1, 16)? { u.int_in_range(0..=LONGEST)? } else { 1 }))
    }
}
