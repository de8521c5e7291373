use std::{collections::BTreeMap, net::IpAddr};

use lb_common::{
    backend::BACKEND_TERMINATING,
    ring,
    service::{SERVICE_DSR, SERVICE_LOAD_BALANCER, SERVICE_SOURCE_RANGES, ServiceKey},
    source_range::SourceRangeKey,
};

use super::*;
use crate::{
    backend_id::BackendId,
    desired::{DesiredBackend, DesiredService, Frontend},
    explain::explain,
    object::{ObjectKey, Protocol},
};

const ROOMY: Capacity =
    Capacity { services: 100, chunks: 4096, backends: 2000, source_ranges: 100, peers: 100 };

fn id(address: u32) -> BackendId {
    BackendId {
        address: std::net::Ipv4Addr::from(0x0a00_0000 + address).into(),
        port: 8080,
        protocol: Protocol::Tcp,
    }
}

fn key(port: u16) -> ServiceKey {
    ServiceKey::new(IpAddr::from([192, 0, 2, 1]).into(), port.to_be(), 6)
}

/// A NodePort Service `ns/web<port>` on each of `ports`, all with the same endpoints.
fn web(ports: &[u16], members: std::ops::Range<u32>) -> Desired {
    let service = |port: &u16| DesiredService {
        object: ObjectKey::new("ns", format!("web{port}")),
        frontends: vec![Frontend { key: key(*port), flags: lb_common::service::SERVICE_NODE_PORT }],
        members: members.clone().map(id).collect(),
        local_members: Vec::new(),
        draining: Vec::new(),
        affinity_seconds: 0,
        source_ranges: Vec::new(),
    };
    Desired {
        services: ports.iter().map(|port| (format!("ns/web{port}"), service(port))).collect(),
        backends: members.clone().map(|member| (id(member), flagged(0))).collect(),
        peers: BTreeMap::new(),
        refusals: Vec::new(),
    }
}

fn flagged(flags: u8) -> DesiredBackend {
    DesiredBackend { flags, node: None }
}

fn bring(tables: &mut Tables, desired: &Desired, capacity: Capacity) -> Plan {
    let plan = plan(desired, tables, capacity);
    plan.ops.iter().for_each(|op| tables.apply(op));
    plan
}

fn kinds(plan: &Plan) -> Vec<&'static str> {
    let kind = |op: &Op| match op {
        Op::SetBackend { .. } => "SetBackend",
        Op::SetRing { .. } => "SetRing",
        Op::SetName { .. } => "SetName",
        Op::SetSourceRange { .. } => "SetSourceRange",
        Op::SetPeer { .. } => "SetPeer",
        Op::SetService { .. } => "SetService",
        Op::RemoveService { .. } => "RemoveService",
        Op::RemoveSourceRange { .. } => "RemoveSourceRange",
        Op::RemovePeer { .. } => "RemovePeer",
        Op::RemoveName { .. } => "RemoveName",
        Op::RemoveBackend { .. } => "RemoveBackend",
        Op::RaiseEpoch => "RaiseEpoch",
    };
    plan.ops.iter().map(kind).collect()
}

#[test]
fn what_is_referred_to_is_written_first_and_removed_last() {
    let mut tables = Tables::default();
    let plan = bring(&mut tables, &web(&[80], 0..1), ROOMY);
    assert_eq!(kinds(&plan), ["SetBackend", "SetRing", "SetName", "SetService"]);
    let plan = bring(&mut tables, &web(&[81], 1..2), ROOMY);
    let expected = [
        "SetBackend",
        "SetRing",
        "SetName",
        "SetService",
        "RemoveService",
        "RemoveName",
        "RemoveBackend",
        "RaiseEpoch",
    ];
    assert_eq!(kinds(&plan), expected);
}

/// `ns/web80` for clients in `ranges` alone.
fn guarded(ranges: &[&str]) -> Desired {
    let mut desired = web(&[80], 0..1);
    let service = desired.services.get_mut("ns/web80").unwrap();
    service.frontends[0].flags = SERVICE_LOAD_BALANCER | SERVICE_SOURCE_RANGES;
    service.source_ranges = ranges.iter().map(|range| range.parse().unwrap()).collect();
    desired
}

#[test]
fn source_ranges_are_there_before_the_frontend_that_asks_for_them_and_go_after_it() {
    let mut tables = Tables::default();
    bring(&mut tables, &web(&[80], 0..1), ROOMY);
    let plan = bring(&mut tables, &guarded(&["10.0.0.0/8", "192.0.2.0/24"]), ROOMY);
    assert_eq!(kinds(&plan), ["SetSourceRange", "SetSourceRange", "SetService", "SetService"]);
    let plan = bring(&mut tables, &guarded(&["192.0.2.0/24", "198.51.100.0/24"]), ROOMY);
    assert_eq!(kinds(&plan), ["SetSourceRange", "RemoveSourceRange"]);
    let plan = bring(&mut tables, &guarded(&[]), ROOMY);
    assert_eq!(kinds(&plan), ["RemoveSourceRange", "RemoveSourceRange"]);
    bring(&mut tables, &guarded(&["10.0.0.0/8"]), ROOMY);
    let plan = bring(&mut tables, &web(&[], 0..0), ROOMY);
    assert_eq!(kinds(&plan)[..4], ["RemoveService", "RemoveService", "RemoveSourceRange", "RemoveName"]);
}

#[test]
fn an_id_is_not_given_away_while_a_range_lets_clients_in_under_it() {
    let mut tables = Tables::default();
    let stale = SourceRangeKey::new(1, IpAddr::from([10, 0, 0, 0]).into(), 8);
    tables.source_ranges.insert(stale);
    let plan = bring(&mut tables, &guarded(&["192.0.2.0/24"]), ROOMY);
    assert_eq!(tables.services[&key(80)].id, 2);
    assert_eq!(plan.ops.last(), Some(&Op::RemoveSourceRange { key: stale }));
}

#[test]
fn packets_from_other_nodes_have_a_ring_of_their_own() {
    let mut tables = Tables::default();
    let mut desired = web(&[80], 0..3);
    let service = desired.services.get_mut("ns/web80").unwrap();
    service.frontends[0].flags = SERVICE_LOAD_BALANCER | SERVICE_DSR;
    service.local_members = vec![id(1)];
    desired.peers.insert(IpAddr::from([192, 0, 2, 2]), ObjectKey::new("", "n2"));
    let plan = bring(&mut tables, &desired, ROOMY);
    let expected = ["SetBackend", "SetBackend", "SetBackend", "SetRing", "SetRing", "SetName", "SetPeer"];
    assert_eq!(kinds(&plan)[..7], expected);
    let service = explain(&tables).services.remove(0);
    assert_eq!((service.ring.shares.len(), service.local_ring.shares[0].backend), (3, Some(id(1))));
    let plan = bring(&mut tables, &web(&[80], 0..3), ROOMY);
    assert_eq!(
        kinds(&plan),
        ["SetService", "RemoveService", "RemovePeer"],
        "the catch-all goes with the VIP"
    );
}

#[test]
fn a_changed_ring_is_written_beside_the_old_one_and_then_switched_to() {
    let mut tables = Tables::default();
    bring(&mut tables, &web(&[80], 0..2), ROOMY);
    let old = tables.services[&key(80)];
    let plan = bring(&mut tables, &web(&[80], 0..3), ROOMY);
    let new = tables.services[&key(80)];
    assert_eq!(kinds(&plan), ["SetBackend", "SetRing", "SetService"]);
    assert_eq!((new.id, new.ring_size), (old.id, 509));
    assert!(new.ring >= old.ring + ring::chunks(old.ring_size));
}

#[test]
fn an_index_is_reused_under_a_new_generation_only() {
    let mut tables = Tables::default();
    bring(&mut tables, &web(&[80], 0..1), ROOMY);
    bring(&mut tables, &web(&[80], 0..0), ROOMY);
    assert_eq!((tables.backends[&1].address.is_none(), tables.backends[&1].generation), (true, 2));
    bring(&mut tables, &web(&[80], 1..2), ROOMY);
    assert_eq!(tables.backends[&1], id(1).entry(flagged(0), 2));
}

#[test]
fn an_endpoint_that_leaves_the_ring_keeps_its_entry_as_long_as_it_is_known() {
    let mut tables = Tables::default();
    bring(&mut tables, &web(&[80], 0..2), ROOMY);
    let mut desired = web(&[80], 0..1);
    desired.services.values_mut().for_each(|service| service.draining = vec![id(1), id(7)]);
    desired.backends.extend([1, 7].map(|number| (id(number), flagged(BACKEND_TERMINATING))));
    let plan = bring(&mut tables, &desired, ROOMY);
    assert_eq!(kinds(&plan), ["SetBackend", "SetRing", "SetService", "RaiseEpoch"]);
    assert_eq!(tables.backends[&2], id(1).entry(flagged(BACKEND_TERMINATING), 1));
    assert_eq!(tables.backends.len(), 2, "one that was never in a ring gets no entry");
    let plan = bring(&mut tables, &web(&[80], 0..1), ROOMY);
    assert_eq!(kinds(&plan), ["RemoveBackend", "RaiseEpoch"]);
}

#[test]
fn every_member_gets_its_share_of_the_ring() {
    for count in [1, 2, 7, 10, 100] {
        let mut tables = Tables::default();
        bring(&mut tables, &web(&[80], 0..count), ROOMY);
        let service = explain(&tables).services.remove(0);
        assert_eq!(service.ring.shares.len(), count as usize);
        let shares = service.ring.shares.iter().map(|share| share.slots);
        let (least, most) = (shares.clone().min().unwrap(), shares.clone().max().unwrap());
        assert!(most - least <= 1, "{count} members: {least} to {most} slots");
        assert_eq!(shares.sum::<u32>(), ring::size_for(count as usize));
    }
}

#[test]
fn nodes_that_number_endpoints_differently_choose_alike() {
    let endpoints_by_slot = |tables: &Tables| {
        let ring = &tables.rings[&tables.services[&key(80)].ring];
        ring.iter().map(|index| BackendId::of(&tables.backends[&index])).collect::<Vec<_>>()
    };
    let (mut one, mut other) = (Tables::default(), Tables::default());
    bring(&mut one, &web(&[80], 0..9), ROOMY);
    for members in [5..20, 3..6, 7..9, 0..9] {
        bring(&mut other, &web(&[80], members), ROOMY);
    }
    assert_ne!(one.backends, other.backends);
    assert_eq!(endpoints_by_slot(&one), endpoints_by_slot(&other));
}

#[test]
fn a_full_map_serves_what_fits_and_says_which_map_and_how_full() {
    let refused = |capacity: Capacity, desired: &Desired| {
        let plan = bring(&mut Tables::default(), desired, capacity);
        plan.refusals.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    let two = web(&[80, 81], 0..3);
    assert_eq!(
        refused(Capacity { services: 2, ..ROOMY }, &two),
        "Service ns/web81: MapFull: ns/web81 finds no room among the 2 entries of the map `service_stats`; give the map more \
         entries or remove other Services"
    );
    assert!(
        refused(Capacity { chunks: 32, ..ROOMY }, &two).contains("among the 32 entries of the map `rings`")
    );
    assert!(
        refused(Capacity { backends: 3, ..ROOMY }, &two)
            .contains("among the 2 entries of the map `backends`")
    );
}

#[test]
fn newcomers_never_push_out_what_is_served() {
    let capacity = Capacity { chunks: 32, ..ROOMY };
    let mut tables = Tables::default();
    bring(&mut tables, &web(&[81], 0..3), capacity);
    let plan = bring(&mut tables, &web(&[80, 81], 0..3), capacity);
    assert_eq!(plan.ops, []);
    assert_eq!(plan.refusals[0].object.name, "web80");
}

#[test]
fn a_ring_without_room_beside_is_written_over_the_old_one_while_all_its_endpoints_are_there() {
    let capacity = Capacity { chunks: 16, ..ROOMY };
    let mut tables = Tables::default();
    bring(&mut tables, &web(&[80], 0..2), capacity);
    let plan = bring(&mut tables, &web(&[80], 1..3), capacity);
    assert_eq!(plan.refusals, []);
    assert_eq!(kinds(&plan), ["SetBackend", "SetRing", "RemoveBackend", "RaiseEpoch"]);
}

#[test]
fn what_a_full_map_frees_is_given_away_in_the_same_plan() {
    let capacity = Capacity { services: 2, chunks: 16, backends: 2, ..ROOMY };
    let mut tables = Tables::default();
    bring(&mut tables, &web(&[80], 0..1), capacity);
    let plan = bring(&mut tables, &web(&[81], 1..2), capacity);
    assert_eq!(plan.refusals, []);
    assert_eq!(tables.names, BTreeMap::from([(1, "ns/web81".to_owned())]));
}

#[test]
fn a_change_of_one_endpoint_among_many_services_touches_that_service_alone() {
    let ports: Vec<u16> = (1..80).collect();
    let mut planner = Planner::new(Tables::default(), ROOMY);
    let mut desired = web(&ports, 0..3);
    planner.plan(&desired, &Changes::default()).ops.iter().for_each(|op| planner.applied(op));
    planner.finish(&desired);
    desired.services.get_mut("ns/web40").unwrap().members.push(id(9));
    desired.backends.insert(id(9), flagged(0));
    let changes =
        Changes { services: ["ns/web40".to_owned()].into(), backends: [id(9)].into(), ..Changes::default() };
    let plan = planner.plan(&desired, &changes);
    assert_eq!(kinds(&plan), ["SetBackend", "SetRing", "SetService"]);
}
