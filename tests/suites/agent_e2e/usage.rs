//! How full maps are, counted by the kernel's batches.

use std::net::IpAddr;

use aya::{
    Pod,
    maps::{HashMap, LpmTrie, Map, MapData, lpm_trie::Key},
};
use lb_common::{
    abi::map,
    address::{Address, IpAddress, V4, V6},
    affinity::{Affinity, AffinityKey},
    flow::{FLOW_REVERSE, Flow, FlowKey},
    fragment::{self, FragmentKey, FragmentPorts},
    service::{Service, ServiceKey},
    source_range::SourceRangeKey,
    tcp::{CONFIRMED, REPLIED, TCP, UDP, timeout},
    time::{Tick, seconds},
};
use lb_tests::skip;
use lb_userspace::dataplane::{
    clock,
    loader::{self, Settings},
    pinned::Pinned,
    usage::{self, Usage},
};

use crate::node::{self, Node};

/// More than a batch, less than the table holds.
const FLOWS: u32 = 6_000;

#[test]
fn every_entry_of_large_lru_maps_and_of_tries_is_counted_once_and_none_that_is_over() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    let node = Node::new();
    node.pins.create().unwrap();
    let sizes = lb_userspace::dataplane::spec::Sizes { flows: 16_384, flows6: 16_384, ..node::sizes() };
    drop(loader::load(&node.pins, &Settings { sizes, ..Settings::default() }).unwrap());
    let pinned = Pinned::open(&node.pins).unwrap();
    let used = |name: &str| {
        let usages = usage::counted(&pinned).unwrap();
        usages.into_iter().find(|usage| usage.map == name).unwrap()
    };
    assert_eq!(
        used(map::FLOWS),
        Usage { map: map::FLOWS, used: 0, capacity: 16_384, flag: Some("--max-flows") }
    );

    let now = clock::now();
    fill::<V4>(&node, map::FLOWS, now);
    fill::<V6>(&node, map::FLOWS6, now);
    assert_eq!([map::FLOWS, map::FLOWS6].map(|name| used(name).used), [u64::from(FLOWS) + 2; 2]);
    let mut replies = 0;
    pinned
        .living_halves(now, |half| {
            replies += u32::from(half.service == u32::from(UDP) && half.flags == FLOW_REVERSE)
        })
        .unwrap();
    assert_eq!(replies, 2, "the UDP half of each table");

    let data = MapData::from_pin(node.pins.map(map::FRAGMENTS)).unwrap();
    let mut fragments: HashMap<_, FragmentKey, FragmentPorts> =
        Map::from_map_data(data).unwrap().try_into().unwrap();
    for (id_be, idle) in [(1, 0), (2, 0), (3, fragment::LIFETIME + 1)] {
        let ports = FragmentPorts { seen: now.wrapping_sub(idle), ..FragmentPorts::default() };
        fragments.insert(FragmentKey { id_be, ..FragmentKey::default() }, ports, 0).unwrap();
    }
    assert_eq!(used(map::FRAGMENTS).used, 2);

    let frontend = ServiceKey::default();
    let service = Service { id: 7, affinity: 60, ..Service::default() };
    let data = MapData::from_pin(node.pins.map(map::SERVICES)).unwrap();
    let mut services: HashMap<_, ServiceKey, Service> = Map::from_map_data(data).unwrap().try_into().unwrap();
    services.insert(frontend, service, 0).unwrap();
    let data = MapData::from_pin(node.pins.map(map::AFFINITY)).unwrap();
    let mut clients: HashMap<_, AffinityKey, Affinity> =
        Map::from_map_data(data).unwrap().try_into().unwrap();
    for (service, client, idle) in [(7, 1, seconds(50)), (7, 2, seconds(70)), (8, 3, 0)] {
        let key = AffinityKey { client: Address::v4(client), service };
        let affinity = Affinity { last_used: now.wrapping_sub(idle), ..Affinity::default() };
        clients.insert(key, affinity, 0).unwrap();
    }
    assert_eq!(used(map::AFFINITY).used, 1);

    let data = MapData::from_pin(node.pins.map(map::SOURCE_RANGES)).unwrap();
    let mut ranges: LpmTrie<_, [u32; 5], u32> = Map::from_map_data(data).unwrap().try_into().unwrap();
    for (text, bits) in [("10.0.0.0", 8), ("10.1.0.0", 16), ("2001:db8::", 32)] {
        let key = SourceRangeKey::new(1, Address::from(text.parse::<IpAddr>().unwrap()), bits);
        let [a, b, c, d] = key.address.words_be;
        ranges.insert(&Key::new(key.prefix_len, [key.service_be, a, b, c, d]), 1, 0).unwrap();
    }
    let ranges = used(map::SOURCE_RANGES);
    assert_eq!((ranges.used, ranges.flag), (3, Some("--max-source-ranges")));
}

/// Flows that have just begun and as many that were given up, an answered UDP half and a confirmed TCP half idle for longer
/// than those.
fn fill<A: IpAddress>(node: &Node, name: &str, now: Tick)
where
    FlowKey<A>: Pod,
    Flow<A>: Pod,
{
    let data = MapData::from_pin(node.pins.map(name)).unwrap();
    let map = Map::from_map_data(data).unwrap();
    let mut flows: HashMap<_, FlowKey<A>, Flow<A>> = map.try_into().unwrap();
    let mut add = |port, protocol: u8, state, idle| {
        let key = FlowKey { src_port_be: port, protocol: u32::from(protocol), ..FlowKey::default() };
        let (last_seen, flags) = (now.wrapping_sub(idle), FLOW_REVERSE);
        flows
            .insert(key, Flow { last_seen, state, flags, service: protocol.into(), ..Flow::default() }, 0)
            .unwrap();
    };
    for port in 0..FLOWS as u16 {
        add(port, TCP, 0, 0);
        add(u16::MAX - port, TCP, 0, timeout::OPENING + 1);
    }
    add(0, UDP, REPLIED, timeout::OPENING + 1);
    add(u16::MAX / 2, TCP, REPLIED | CONFIRMED, timeout::OPENING + 1);
}
