//! From any state of the maps, through any failure, a plan leads to the same place.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed assumption is a failed test")]

mod random_walk;
mod support;

use lb_common::service::SERVICE_SOURCE_RANGES;
use lb_model::{
    desired::{Decisions, Desired},
    faulty::{Faults, Faulty},
    memory::Memory,
    object::Snapshot,
    op::{Capacity, DataPlane, Op, Tables},
    plan::{Plan, Planner, plan as plan_all},
};
use proptest::{collection, prelude::*};
use support::{ROOMY, admits, assert_sound, churn, config, decide, junk, meaning, snapshot, walk};

/// Applies a plan, and looks at the maps after each write.
fn follow(tables: &mut Tables, ops: &[Op]) {
    for op in ops {
        tables.apply(op);
        assert_sound(tables);
    }
}

fn fresh_start(desired: &Desired) -> Tables {
    let mut tables = Tables::default();
    let plan = plan_all(desired, &tables, ROOMY);
    follow(&mut tables, &plan.ops);
    tables
}

fn small() -> impl Strategy<Value = Capacity> {
    (1u32..12, 0u32..80, 0u32..8, 0u32..6, 0u32..3).prop_map(
        |(services, chunks, backends, source_ranges, peers)| Capacity {
            services,
            chunks,
            backends,
            source_ranges,
            peers,
        },
    )
}

/// Decides and plans as an agent does.
struct Follower {
    decisions: Decisions,
    planner: Planner,
}

impl Follower {
    fn new(tables: Tables, capacity: Capacity) -> Self {
        Self { decisions: Decisions::default(), planner: Planner::new(tables, capacity) }
    }

    fn plan(&mut self, snapshot: &Snapshot) -> Plan {
        let changes = self.decisions.update(snapshot, &config());
        self.planner.plan(self.decisions.desired(), &changes)
    }

    /// Carries out a plan, and looks at the maps after each write.
    fn carry_out(&mut self, ops: &[Op]) {
        for op in ops {
            self.planner.applied(op);
            assert_sound(self.planner.tables());
        }
        self.planner.finish(self.decisions.desired());
    }
}

proptest! {
    #[test]
    fn a_walk_ends_where_a_fresh_start_ends(walk in prop_oneof![walk(), collection::vec(snapshot(), 1..6)]) {
        let mut follower = Follower::new(Tables::default(), ROOMY);
        for snapshot in &walk {
            let plan = follower.plan(snapshot);
            prop_assert_eq!(&plan.refusals, &[]);
            follower.carry_out(&plan.ops);
            let (desired, tables) = (follower.decisions.desired(), follower.planner.tables());
            let fresh = fresh_start(desired);
            prop_assert_eq!(meaning(tables), meaning(&fresh));
            prop_assert_eq!(tables.names.len(), fresh.names.len());
            prop_assert_eq!(tables.rings.len(), fresh.rings.len());
            let live = tables.backends.values().filter(|backend| !backend.address.is_none()).count();
            prop_assert!(live <= desired.backends.len());
            prop_assert_eq!(tables.source_ranges.len(), fresh.source_ranges.len());
            prop_assert_eq!(plan_all(desired, tables, ROOMY).ops, []);
        }
        let plan = follower.plan(&Snapshot::default());
        follower.carry_out(&plan.ops);
        let tables = follower.planner.tables();
        prop_assert!(tables.services.is_empty() && tables.names.is_empty() && tables.rings.is_empty());
        prop_assert!(tables.source_ranges.is_empty() && tables.peers.is_empty());
        prop_assert!(tables.backends.values().all(|backend| backend.address.is_none()));
    }

    #[test]
    fn a_plan_from_what_changed_is_the_plan_from_everything(
        walk in prop_oneof![4 => walk(), 1 => churn(), 1 => collection::vec(snapshot(), 1..5)],
        capacity in prop_oneof![2 => Just(ROOMY), 1 => small()],
        lost in collection::vec(proptest::bool::weighted(0.1), 12),
    ) {
        let mut follower = Follower::new(Tables::default(), capacity);
        for (snapshot, lost) in walk.iter().zip(lost.into_iter().chain([false])) {
            let plan = follower.plan(snapshot);
            let (desired, tables) = (follower.decisions.desired(), follower.planner.tables());
            prop_assert_eq!(&plan, &plan_all(desired, tables, capacity));
            if lost && !plan.ops.is_empty() {
                // Broken off: what was written stands, and the next plan starts from there.
                let mut tables = tables.clone();
                follow(&mut tables, &plan.ops[..plan.ops.len() - 1]);
                follower.planner = Planner::new(tables, capacity);
            } else {
                follower.carry_out(&plan.ops);
                prop_assert_eq!(follower.planner.allocated(), Planner::new(follower.planner.tables().clone(), capacity).allocated());
            }
        }
    }

    #[test]
    fn maps_with_anything_in_them_are_repaired(junk in junk(), snapshot in snapshot()) {
        let desired = decide(&snapshot);
        let mut tables = junk;
        plan_all(&desired, &tables, ROOMY).ops.iter().for_each(|op| tables.apply(op));
        assert_sound(&tables);
        prop_assert_eq!(plan_all(&desired, &tables, ROOMY).ops, []);
        prop_assert_eq!(meaning(&tables), meaning(&fresh_start(&desired)));
    }

    #[test]
    fn small_maps_serve_what_fits_and_settle(walk in collection::vec(snapshot(), 1..5), capacity in small()) {
        let mut tables = Tables::default();
        for snapshot in &walk {
            let desired = decide(snapshot);
            let planned = plan_all(&desired, &tables, capacity);
            for op in &planned.ops {
                tables.apply(op);
                assert_sound(&tables);
                prop_assert!(tables.services.len() <= capacity.services as usize, "{op:?}");
                prop_assert!(tables.backends.keys().all(|index| (1..capacity.backends).contains(index)));
                prop_assert!(tables.names.keys().all(|id| (1..capacity.services).contains(id)));
                prop_assert!(tables.source_ranges.len() <= capacity.source_ranges as usize);
                prop_assert!(tables.peers.len() <= capacity.peers as usize);
            }
            let again = plan_all(&desired, &tables, capacity);
            prop_assert_eq!(again.ops, []);
            prop_assert_eq!(&again.refusals, &planned.refusals);
            let served = tables.names.len();
            let refused = planned.refusals.iter().filter(|r| !r.message.starts_with("the ")).count();
            prop_assert_eq!(served + refused, desired.services.len());
        }
    }

    #[test]
    fn no_write_opens_a_frontend_that_is_guarded_before_and_after(walk in collection::vec(snapshot(), 2..6)) {
        let clients = ["10.1.2.3", "10.2.2.3", "8.8.8.8", "2001:db8:2::1", "4000::1", "c000::1"];
        let clients = clients.map(|client| client.parse().unwrap());
        let mut tables = Tables::default();
        for snapshot in &walk {
            let ops = plan_all(&decide(snapshot), &tables, ROOMY).ops;
            let old = tables.clone();
            let mut new = tables.clone();
            ops.iter().for_each(|op| new.apply(op));
            for op in &ops {
                tables.apply(op);
                for (key, service) in &tables.services {
                    // On the way a client gets in by the Service's old ranges or by its new ones, and by nobody else's.
                    let names = [&old, &new].map(|tables| tables.names.get(&service.id));
                    let is_guarded = service.flags & SERVICE_SOURCE_RANGES != 0;
                    let is_one = names[0].is_none() || names[1].is_none() || names[0] == names[1];
                    for client in clients {
                        let may = admits(&old, key, client) || admits(&new, key, client);
                        let may = may || is_guarded && is_one;
                        prop_assert!(may || !admits(&tables, key, client), "{client} at {key:?} after {op:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn failing_writes_delay_and_nothing_more(
        walk in collection::vec(snapshot(), 1..5), seed: u64, percent in 1u8..60
    ) {
        let mut plane = Faulty::new(Memory::new(Tables::default(), ROOMY), Faults::Random { seed, percent });
        for snapshot in &walk {
            let desired = decide(snapshot);
            // An agent that always stops at the first failure makes at least one step in every two or three tries.
            for attempt in 0.. {
                prop_assert!(attempt < 10_000);
                let tables = plane.dump().unwrap();
                assert_sound(&tables);
                let ops = plan_all(&desired, &tables, ROOMY).ops;
                if ops.is_empty() {
                    break;
                }
                let _ = ops.iter().try_for_each(|op| plane.apply(op));
            }
            let fresh = fresh_start(&desired);
            prop_assert_eq!(meaning(&plane.dump().unwrap()), meaning(&fresh));
        }
    }
}
