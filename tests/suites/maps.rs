//! The kernel's maps behind the planner's data plane: they hold what the same writes leave in memory.
#![allow(clippy::unwrap_used, reason = "a failed assumption is a failed test")]

use std::{net::IpAddr, path::Path};

use aya::maps::{Array, Map, MapData};
use lb_common::{
    abi::map,
    address::Address,
    backend::{BACKEND_LOCAL, Backend},
    filter::{self, Bit},
    service::{SERVICE_CATCH_ALL, SERVICE_SOURCE_RANGES, Service, ServiceKey},
    source_range::SourceRangeKey,
};
use lb_model::{
    memory::Memory,
    op::{DataPlane, Op, Tables},
};
use lb_tests::{BPFFS, netns::unique_name, skip};
use lb_userspace::dataplane::{
    cleanup,
    loader::{self, Settings},
    maps::Maps,
    pin::PinDir,
    pinned::Pinned,
    spec::Sizes,
};

const NEEDS: &[skip::Need] = &[skip::Need::Root, skip::Need::Bpf];
/// IP protocol number of SCTP.
const SCTP: u8 = 132;

/// Small maps under a directory of their own, removed on drop.
struct Pins(PinDir);

impl Pins {
    fn new() -> Self {
        let pins = Self(PinDir::new(Path::new(BPFFS).join(unique_name())));
        pins.0.create().unwrap();
        let sizes = Sizes {
            services: 64,
            ring_chunks: 256,
            backends: 64,
            flows: 64,
            flows6: 64,
            fragments: 64,
            affinity: 64,
            source_ranges: 16,
            peers: 16,
        };
        loader::load(&pins.0, &Settings { sizes, ..Settings::default() }).unwrap();
        pins
    }

    fn maps(&self) -> Maps {
        Maps::new(Pinned::open(&self.0).unwrap()).unwrap()
    }
}

impl Drop for Pins {
    fn drop(&mut self) {
        let _ = cleanup::cleanup(&self.0);
    }
}

fn address(text: &str) -> Address {
    text.parse::<IpAddr>().unwrap().into()
}

fn range(service: u32, text: &str, bits: u8) -> SourceRangeKey {
    SourceRangeKey::new(service, address(text), bits)
}

fn service(id: u32, text: &str, protocol: u8) -> Op {
    let key = ServiceKey::new(address(text), 9000u16.to_be(), protocol);
    let flags = SERVICE_SOURCE_RANGES;
    let service = Service {
        id,
        flags,
        ring: 0,
        ring_size: 251,
        local_ring: 16,
        local_ring_size: 251,
        ..Service::default()
    };
    Op::SetService { key, service }
}

/// Writes of every kind, of both families.
fn writes() -> Vec<Op> {
    let backend = |text: &str| Backend {
        address: address(text),
        node: address("fd00::3"),
        port_be: 8080u16.to_be(),
        protocol: SCTP,
        flags: BACKEND_LOCAL,
        generation: 1,
    };
    let catch_all = Service { flags: SERVICE_CATCH_ALL, ..Service::default() };
    vec![
        Op::SetBackend { index: 1, backend: backend("10.244.1.5") },
        Op::SetBackend { index: 2, backend: backend("fd00:244::5") },
        Op::SetRing { chunk: 0, slots: vec![1; 251].into() },
        Op::SetRing { chunk: 16, slots: vec![2; 251].into() },
        Op::SetName { id: 1, name: "default/web:http".to_owned() },
        Op::SetSourceRange { key: range(1, "0.0.0.0", 0) },
        Op::SetSourceRange { key: range(1, "192.0.2.0", 24) },
        Op::SetSourceRange { key: range(2, "::", 0) },
        Op::SetSourceRange { key: range(2, "2001:db8::", 32) },
        Op::SetSourceRange { key: range(2, "2001:db8::1", 128) },
        Op::SetPeer { address: address("172.18.0.3") },
        Op::SetPeer { address: address("fd00::3") },
        service(1, "203.0.113.10", 6),
        service(2, "2001:db8:ffff::10", SCTP),
        Op::SetService { key: ServiceKey::catch_all(address("2001:db8:ffff::10")), service: catch_all },
        Op::RemoveSourceRange { key: range(1, "0.0.0.0", 0) },
        Op::RemoveSourceRange { key: range(1, "198.51.100.0", 24) },
        Op::RemovePeer { address: address("172.18.0.3") },
        Op::RemovePeer { address: address("172.18.0.4") },
        Op::RemoveBackend { index: 1, generation: 2 },
        Op::RaiseEpoch,
    ]
}

#[test]
fn the_kernels_maps_hold_what_the_same_writes_leave_in_memory() {
    if !skip::need(NEEDS) {
        return;
    }
    let pins = Pins::new();
    let mut maps = pins.maps();
    let mut memory = Memory::new(Tables::default(), maps.capacity());
    for (number, op) in writes().iter().enumerate() {
        maps.apply(op).unwrap();
        memory.apply(op).unwrap();
        assert_eq!(maps.dump().unwrap(), memory.dump().unwrap(), "after write {number}, {op:?}");
        assert!(maps.holds(&memory.dump().unwrap()).unwrap(), "after write {number}, {op:?}");
    }
    assert_eq!(pins.maps().dump().unwrap(), memory.dump().unwrap(), "an agent that starts finds the same");
}

#[test]
fn a_foreign_change_of_any_map_is_noticed() {
    if !skip::need(NEEDS) {
        return;
    }
    let pins = Pins::new();
    let mut maps = pins.maps();
    let is_set = |op: &Op| {
        !matches!(op, Op::RemoveSourceRange { .. } | Op::RemovePeer { .. } | Op::RemoveBackend { .. })
    };
    let writes: Vec<Op> = writes().into_iter().filter(is_set).collect();
    writes.iter().for_each(|op| maps.apply(op).unwrap());
    let believed = maps.dump().unwrap();
    let mut last_slot = vec![2; 251];
    last_slot[250] = 1;
    let foreign = [
        Op::SetBackend { index: 2, backend: Backend::default() },
        Op::SetRing { chunk: 16, slots: last_slot.into() },
        Op::SetName { id: 1, name: "default/other:http".to_owned() },
        Op::RemoveSourceRange { key: range(2, "2001:db8::", 32) },
        Op::RemovePeer { address: address("fd00::3") },
        service(3, "203.0.113.10", 6),
    ];
    for op in foreign {
        maps.apply(&op).unwrap();
        assert!(!maps.holds(&believed).unwrap(), "{op:?}");
        writes.iter().for_each(|op| maps.apply(op).unwrap());
        assert!(maps.holds(&believed).unwrap(), "put right after {op:?}");
    }
}

#[test]
fn a_full_map_says_so_and_the_others_go_on() {
    if !skip::need(NEEDS) {
        return;
    }
    let pins = Pins::new();
    let mut maps = pins.maps();
    let capacity = maps.capacity().source_ranges as u8;
    for number in 0..capacity {
        maps.apply(&Op::SetSourceRange { key: range(1, &format!("192.0.2.{number}"), 32) }).unwrap();
    }
    let error = maps.apply(&Op::SetSourceRange { key: range(1, "192.0.2.255", 32) }).unwrap_err();
    assert!(error.to_string().contains("map source_ranges"), "{error}");
    maps.apply(&Op::SetPeer { address: address("fd00::3") }).unwrap();
    assert_eq!(maps.dump().unwrap().source_ranges.len(), usize::from(capacity));
}

#[test]
fn every_frontend_and_local_endpoint_has_its_bit_of_the_filter() {
    if !skip::need(NEEDS) {
        return;
    }
    let pins = Pins::new();
    let mut maps = pins.maps();
    let bits = [
        Bit::frontend_port(9000u16.to_be()),
        Bit::vip_of(address("2001:db8:ffff::10")),
        Bit::endpoint_port(8080u16.to_be()),
    ];
    let filter = MapData::from_pin(pins.0.map(map::FILTER)).unwrap();
    let mut filter: Array<MapData, u64> = Map::from_map_data(filter).unwrap().try_into().unwrap();
    let is_set =
        |filter: &Array<MapData, u64>, bit: &Bit| filter.get(&bit.word(), 0).unwrap() & bit.mask() != 0;
    assert!(bits.iter().all(|bit| !is_set(&filter, bit)));
    for op in writes() {
        maps.apply(&op).unwrap();
    }
    maps.apply(&writes()[1]).unwrap();
    assert!(bits.iter().all(|bit| is_set(&filter, bit)));
    for word in 0..filter::WORDS {
        filter.set(word, 0, 0).unwrap();
    }
    drop(maps);
    pins.maps();
    assert!(bits.iter().all(|bit| is_set(&filter, bit)), "an agent that starts mends the filter");
}
