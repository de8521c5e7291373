//! A long life of an agent: thousands of changes, writes that fail, maps that others change. In the end the maps are
//! those of an agent that has just started, and nothing has leaked.

use std::collections::BTreeSet;

use crate::support::{ROOMY, assert_sound, config, endpoint, junk, meaning, node, service, slice};
use lb_model::{
    backend_id::BackendId,
    desired::{Changes, Decisions, Desired},
    faulty::{Faults, Faulty},
    memory::Memory,
    object::{Endpoint, ObjectKey, Snapshot},
    op::{Capacity, DataPlane, Tables},
    plan::{Planner, plan},
};
use proptest::{
    prelude::*,
    sample::Index,
    strategy::ValueTree,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};

const STEPS: usize = 6_000;
/// A fresh start costs as much as many steps.
const COMPARE_EVERY: usize = 10;

/// One change of the cluster, or of the maps behind the agent's back.
#[derive(Clone, Debug)]
enum Step {
    PutService(ObjectKey, lb_model::object::Service),
    /// One part of a Service becomes that of another.
    ChangeService(Index, lb_model::object::Service, u8),
    RemoveService(Index),
    PutSlice(ObjectKey, lb_model::object::EndpointSlice),
    ChangeEndpoint(Index, Index, Endpoint),
    RemoveSlice(Index),
    PutNode(String, lb_model::object::Node),
    RemoveNode(Index),
    /// Writes of the next steps fail, so many of a hundred.
    Faults(u64, u8),
    /// The agent is started anew.
    Restart,
    /// Somebody writes into the maps.
    Meddle(Tables),
}

fn step() -> impl Strategy<Value = Step> {
    let key = |prefix: &'static str| (0u8..8).prop_map(move |n| ObjectKey::new("ns", format!("{prefix}{n}")));
    let index = any::<Index>;
    prop_oneof![
        4 => (key("s"), service()).prop_map(|(key, service)| Step::PutService(key, service)),
        6 => (index(), service(), 0u8..9).prop_map(|(at, other, part)| Step::ChangeService(at, other, part)),
        2 => index().prop_map(Step::RemoveService),
        5 => (key("e"), slice()).prop_map(|(key, slice)| Step::PutSlice(key, slice)),
        12 => (index(), index(), endpoint()).prop_map(|(at, of, endpoint)| Step::ChangeEndpoint(at, of, endpoint)),
        2 => index().prop_map(Step::RemoveSlice),
        2 => ((1u8..4).prop_map(|n| format!("n{n}")), node()).prop_map(|(name, node)| Step::PutNode(name, node)),
        1 => index().prop_map(Step::RemoveNode),
        2 => (any::<u64>(), sample_percent()).prop_map(|(seed, percent)| Step::Faults(seed, percent)),
        1 => Just(Step::Restart),
        1 => junk().prop_map(Step::Meddle),
    ]
}

fn sample_percent() -> impl Strategy<Value = u8> {
    prop_oneof![2 => Just(0u8), 1 => 1u8..50]
}

/// The agent and its cluster.
struct Life {
    snapshot: Snapshot,
    plane: Faulty<Memory>,
    decisions: Decisions,
    /// What the agent believes the maps to hold; none where it has to read them.
    planner: Option<Planner>,
    changes: Changes,
    /// What somebody wrote into the maps is still there.
    meddled: bool,
}

impl Life {
    fn new(capacity: Capacity) -> Self {
        Self {
            snapshot: Snapshot::default(),
            plane: Faulty::new(Memory::new(Tables::default(), capacity), Faults::None),
            decisions: Decisions::default(),
            planner: None,
            changes: Changes::default(),
            meddled: false,
        }
    }

    fn take(&mut self, step: Step) {
        let Snapshot { services, slices, nodes, .. } = &mut self.snapshot;
        let at = |index: Index, keys: Vec<ObjectKey>| (!keys.is_empty()).then(|| index.get(&keys).clone());
        match step {
            Step::PutService(key, service) => services.insert(key, service),
            Step::ChangeService(index, other, part) => {
                if let Some(key) = at(index, services.keys().cloned().collect()) {
                    let mut service = services.get(&key).unwrap().clone();
                    match part {
                        0 => service.external_traffic_policy = other.external_traffic_policy,
                        1 => service.affinity_seconds = other.affinity_seconds,
                        2 => service.source_ranges = other.source_ranges,
                        3 => service.forwarding_mode = other.forwarding_mode,
                        4 => service.load_balancer_ips = other.load_balancer_ips,
                        5 => service.external_ips = other.external_ips,
                        6 => service.service_type = other.service_type,
                        7 => service.ip_families = other.ip_families,
                        _ => service.ports = other.ports,
                    }
                    services.insert(key, service);
                }
            }
            Step::RemoveService(index) => {
                at(index, services.keys().cloned().collect()).map(|key| services.remove(&key));
            }
            Step::PutSlice(key, slice) => slices.insert(key, slice),
            Step::ChangeEndpoint(index, of, endpoint) => {
                if let Some(key) = at(index, slices.keys().cloned().collect()) {
                    let mut slice = slices.get(&key).unwrap().clone();
                    if slice.endpoints.is_empty() {
                        slice.endpoints.push(endpoint);
                    } else {
                        let position = of.index(slice.endpoints.len());
                        slice.endpoints[position] = endpoint;
                    }
                    slices.insert(key, slice);
                }
            }
            Step::RemoveSlice(index) => {
                at(index, slices.keys().cloned().collect()).map(|key| slices.remove(&key));
            }
            Step::PutNode(name, node) => nodes.insert(name, node),
            Step::RemoveNode(index) => {
                let names: Vec<_> = nodes.keys().cloned().collect();
                if !names.is_empty() {
                    nodes.remove(index.get(&names));
                }
            }
            Step::Faults(seed, percent) => self.plane.faults = Faults::Random { seed, percent },
            Step::Restart => {
                self.decisions = Decisions::default();
                self.planner = None;
            }
            Step::Meddle(tables) => {
                let capacity = self.plane.capacity();
                self.plane = Faulty::new(Memory::new(tables, capacity), self.plane.faults.clone());
                if self.planner.as_ref().is_some_and(|planner| !self.plane.holds(planner.tables()).unwrap()) {
                    self.planner = None;
                }
                self.meddled = true;
            }
        }
    }

    /// As the agent: what was written is believed until a write fails.
    fn reconcile(&mut self) {
        self.changes.extend(self.decisions.update(&self.snapshot, &config()));
        let capacity = self.plane.capacity();
        for attempt in 0.. {
            assert!(attempt < 10_000, "half of the writes succeed, and each success is progress");
            let planner = match &mut self.planner {
                Some(planner) => planner,
                none => none.insert(Planner::new(self.plane.dump().unwrap(), capacity)),
            };
            let ops = planner.plan(self.decisions.desired(), &self.changes).ops;
            let mut is_done = true;
            for op in &ops {
                if self.plane.apply(op).is_err() {
                    is_done = false;
                    break;
                }
                planner.applied(op);
                if !self.meddled {
                    assert_sound(planner.tables());
                }
            }
            if !is_done {
                self.planner = None;
                continue;
            }
            planner.finish(self.decisions.desired());
            self.changes = Changes::default();
            if ops.is_empty() {
                self.meddled = false;
                return;
            }
        }
    }
}

/// `steps` steps from `seed`, and after each that is to be compared what `judge` says of the maps.
fn walk(seed: u8, steps: usize, life: &mut Life, mut judge: impl FnMut(&Desired, &Tables)) {
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let strategy = step();
    for number in 1..=steps {
        life.take(strategy.new_tree(&mut runner).unwrap().current());
        life.reconcile();
        if number % COMPARE_EVERY == 0 {
            let tables = life.plane.dump().unwrap();
            assert_sound(&tables);
            // Read back as from the kernel, where nobody sees a ring that no frontend points to.
            let believed = life.planner.as_ref().unwrap().tables().clone();
            let believed = Memory::new(believed, ROOMY).dump().unwrap();
            assert!(believed == tables, "step {number}: the agent believes what is not so");
            judge(life.decisions.desired(), &tables);
        }
    }
}

fn fresh_start(desired: &Desired) -> Tables {
    let mut tables = Tables::default();
    plan(desired, &tables, ROOMY).ops.iter().for_each(|op| tables.apply(op));
    tables
}

/// Endpoints that the tables hold.
fn backends(tables: &Tables) -> Vec<BackendId> {
    let mut found: Vec<_> = tables.backends.values().filter_map(BackendId::of).collect();
    found.sort_unstable();
    found
}

#[test]
fn after_a_long_life_the_maps_are_those_of_a_fresh_start() {
    let mut life = Life::new(ROOMY);
    walk(7, STEPS, &mut life, |desired, tables| {
        let fresh = fresh_start(desired);
        assert_eq!(meaning(tables), meaning(&fresh));
        // Equal as seen through the frontends; and nothing else is there.
        assert_eq!(tables.services.len(), fresh.services.len());
        assert_eq!(tables.names.len(), fresh.names.len());
        assert_eq!(tables.rings.len(), fresh.rings.len());
        assert_eq!(tables.source_ranges.len(), fresh.source_ranges.len());
        assert_eq!(tables.peers, fresh.peers);
        let (held, members) = (backends(tables), backends(&fresh));
        assert_eq!(held.iter().collect::<BTreeSet<_>>().len(), held.len(), "no endpoint has two indices");
        let draining: BTreeSet<_> = desired.services.values().flat_map(|service| &service.draining).collect();
        let leaked: Vec<_> =
            held.iter().filter(|id| members.binary_search(id).is_err() && !draining.contains(id)).collect();
        assert!(leaked.is_empty() && members.iter().all(|id| held.contains(id)), "{leaked:?}");
    });
    life.plane.faults = Faults::None;
    life.snapshot = Snapshot::default();
    life.reconcile();
    let left = life.plane.dump().unwrap();
    assert!(left.services.is_empty() && left.names.is_empty() && left.rings.is_empty());
    assert!(left.source_ranges.is_empty() && left.peers.is_empty());
    assert_eq!(backends(&left), []);
}

#[test]
fn in_small_maps_a_long_life_leaves_what_fits_and_nothing_that_is_lost() {
    let capacity = Capacity { services: 12, chunks: 96, backends: 12, source_ranges: 4, peers: 2 };
    let mut life = Life::new(capacity);
    walk(11, STEPS / 2, &mut life, |desired, tables| {
        assert!(tables.services.len() <= capacity.services as usize);
        assert!(tables.source_ranges.len() <= capacity.source_ranges as usize);
        assert!(tables.peers.len() <= capacity.peers as usize);
        assert!(backends(tables).iter().all(|id| desired.backends.contains_key(id)));
        let ids: BTreeSet<u32> = tables.services.values().map(|service| service.id).collect();
        assert!(tables.names.keys().all(|id| ids.contains(id)), "a name without a frontend");
        assert!(tables.source_ranges.iter().all(|range| ids.contains(&range.service())));
    });
}
