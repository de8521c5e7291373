//! Contents of maps: made up, judged, compared.

use std::net::IpAddr;

use lb_common::{
    address::Address,
    backend::Backend,
    service::{SERVICE_SOURCE_RANGES, Service, ServiceKey},
    source_range::SourceRangeKey,
};
use lb_model::{
    op::{Capacity, Tables},
    soundness::fault,
};
use proptest::{collection, prelude::*, sample};

pub(crate) const ROOMY: Capacity =
    Capacity { services: 1000, chunks: 8192, backends: 1000, source_ranges: 1000, peers: 100 };

fn address() -> impl Strategy<Value = Address> {
    let texts = ["203.0.113.1", "203.0.113.2", "192.0.2.1", "1.2.3.4", "2001:db8:1::1"];
    sample::select(texts.map(|text| Address::from(text.parse::<IpAddr>().unwrap())).to_vec())
}

fn key() -> impl Strategy<Value = ServiceKey> {
    let ports = sample::select(vec![0, 80u16, 30_000]);
    let protocols = sample::select(vec![0, 6, 6, 6, 17, 17, 132, 47]);
    (address(), ports, protocols)
        .prop_map(|(address, port, protocol)| ServiceKey::new(address, port.to_be(), protocol))
}

prop_compose! {
    fn entry()(
        id in 0u32..8,
        flags in 0u32..256,
        rings in [0u32..64, 0u32..64],
        sizes in [0, 1].map(|_| sample::select(vec![0, 7, 251, 251, 509, 131_071, u32::MAX])),
        affinity in 0u32..2,
    ) -> Service {
        Service {
            id,
            flags,
            ring: rings[0],
            ring_size: sizes[0],
            local_ring: rings[1],
            local_ring_size: sizes[1],
            affinity,
            _pad: 0,
        }
    }
}

prop_compose! {
    fn backend()(
        last in 0u8..10,
        port in 8080u16..8082,
        protocol in sample::select(vec![0, 6, 6, 17]),
        flags in 0u8..4,
        generation in 0u32..3,
    ) -> Backend {
        let address = if last == 0 { Address::NONE } else { IpAddr::from([10, 0, 0, last]).into() };
        Backend { address, node: Address::NONE, port_be: port.to_be(), protocol, flags, generation }
    }
}

/// Maps that anyone may have written anything into.
pub(crate) fn junk() -> impl Strategy<Value = Tables> {
    let name = sample::select(vec!["ns/s0", "ns/s0:http", "ns/s1 IPv6", "ns/s2:dns", "gone/gone"])
        .prop_map(str::to_owned);
    let ring = collection::vec(0u32..8, 251..252).prop_map(Into::into);
    let source_range =
        (0u32..8, address(), 0u8..33).prop_map(|(id, address, bits)| SourceRangeKey::new(id, address, bits));
    (
        collection::btree_map(key(), entry(), 0..8),
        collection::btree_map(0u32..8, backend(), 0..8),
        collection::btree_map((0u32..4).prop_map(|n| n * 16), ring, 0..3),
        collection::btree_map(0u32..8, name, 0..4),
        collection::btree_set(source_range, 0..4),
        collection::btree_set(address(), 0..3),
    )
        .prop_map(|(services, backends, rings, names, source_ranges, peers)| Tables {
            services,
            backends,
            rings,
            names,
            source_ranges,
            peers,
        })
}

/// Panics where the tables have a [`fault`].
pub(crate) fn assert_sound(tables: &Tables) {
    assert_eq!(fault(tables), None);
}

/// True where the frontend lets the client in, by the maps' own rules; false without the frontend.
pub(crate) fn admits(tables: &Tables, key: &ServiceKey, client: IpAddr) -> bool {
    let client = Address::from(client);
    tables.services.get(key).is_some_and(|service| {
        service.flags & SERVICE_SOURCE_RANGES == 0
            || tables.source_ranges.iter().any(|range| range.service() == service.id && holds(range, client))
    })
}

/// As the kernel's LPM trie compares.
fn holds(range: &SourceRangeKey, client: Address) -> bool {
    let bits = |address: Address| {
        let octets: Vec<u8> = address.words_be.iter().flat_map(|word| word.to_ne_bytes()).collect();
        u128::from_be_bytes(octets.try_into().unwrap())
    };
    let differing = bits(range.address) ^ bits(client);
    differing.leading_zeros() >= range.prefix_len - 32
}
