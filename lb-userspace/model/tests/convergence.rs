//! From any state of the maps, through any failure, a plan leads to the same place.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed assumption is a failed test")]

mod support;

use lb_model::{
    desired::Desired,
    faulty::{Faults, Faulty},
    memory::Memory,
    op::{Capacity, DataPlane, Op, Tables},
    plan::{Planner, plan},
};
use proptest::{collection, prelude::*};
use support::{ROOMY, assert_sound, churn, decide, junk, meaning, snapshot};

/// Applies a plan, and looks at the maps after each write.
fn follow(tables: &mut Tables, ops: &[Op]) {
    for op in ops {
        tables.apply(op);
        assert_sound(tables);
    }
}

fn fresh_start(desired: &Desired) -> Tables {
    let mut tables = Tables::default();
    let plan = plan(desired, &tables, ROOMY);
    follow(&mut tables, &plan.ops);
    tables
}

fn small() -> impl Strategy<Value = Capacity> {
    (1u32..12, 0u32..80, 0u32..8).prop_map(|(services, chunks, backends)| Capacity {
        services,
        chunks,
        backends,
    })
}

proptest! {
    #[test]
    fn a_walk_ends_where_a_fresh_start_ends(walk in collection::vec(snapshot(), 1..6)) {
        let mut tables = Tables::default();
        let mut planner = Planner::default();
        for snapshot in &walk {
            let desired = decide(snapshot);
            let plan = planner.plan(&desired, &tables, ROOMY);
            prop_assert_eq!(&plan, &lb_model::plan::plan(&desired, &tables, ROOMY));
            prop_assert_eq!(&plan.refusals, &[]);
            follow(&mut tables, &plan.ops);
            prop_assert_eq!(planner.plan(&desired, &tables, ROOMY).ops, []);
            let fresh = fresh_start(&desired);
            prop_assert_eq!(meaning(&tables), meaning(&fresh));
            prop_assert_eq!(tables.names.len(), fresh.names.len());
            let live = tables.backends.values().filter(|backend| !backend.address.is_none()).count();
            prop_assert!(live <= desired.backends.len());
        }
        let removal = plan(&decide(&Default::default()), &tables, ROOMY);
        follow(&mut tables, &removal.ops);
        prop_assert!(tables.services.is_empty() && tables.names.is_empty());
        prop_assert!(tables.backends.values().all(|backend| backend.address.is_none()));
    }

    #[test]
    fn a_planner_with_memory_answers_as_one_without(
        walk in prop_oneof![churn(), collection::vec(snapshot(), 1..5)],
        capacity in prop_oneof![Just(ROOMY), small()],
        lost in collection::vec(any::<bool>(), 5),
    ) {
        let mut tables = Tables::default();
        let mut planner = Planner::default();
        for (snapshot, lost) in walk.iter().zip(lost) {
            let desired = decide(snapshot);
            let with_memory = planner.plan(&desired, &tables, capacity);
            prop_assert_eq!(&with_memory, &plan(&desired, &tables, capacity));
            let ops = with_memory.ops.len() - usize::from(lost && !with_memory.ops.is_empty());
            follow(&mut tables, &with_memory.ops[..ops]);
        }
    }

    #[test]
    fn maps_with_anything_in_them_are_repaired(junk in junk(), snapshot in snapshot()) {
        let desired = decide(&snapshot);
        let mut tables = junk;
        plan(&desired, &tables, ROOMY).ops.iter().for_each(|op| tables.apply(op));
        assert_sound(&tables);
        prop_assert_eq!(plan(&desired, &tables, ROOMY).ops, []);
        prop_assert_eq!(meaning(&tables), meaning(&fresh_start(&desired)));
    }

    #[test]
    fn small_maps_serve_what_fits_and_settle(walk in collection::vec(snapshot(), 1..5), capacity in small()) {
        let mut tables = Tables::default();
        for snapshot in &walk {
            let desired = decide(snapshot);
            let planned = plan(&desired, &tables, capacity);
            for op in &planned.ops {
                tables.apply(op);
                assert_sound(&tables);
                prop_assert!(tables.services.len() <= capacity.services as usize, "{op:?}");
                prop_assert!(tables.backends.keys().all(|index| (1..capacity.backends).contains(index)));
                prop_assert!(tables.names.keys().all(|id| (1..capacity.services).contains(id)));
            }
            let again = plan(&desired, &tables, capacity);
            prop_assert_eq!(again.ops, []);
            prop_assert_eq!(&again.refusals, &planned.refusals);
            let served = tables.names.len();
            let refused = planned.refusals.iter().filter(|r| !r.message.starts_with("the answer")).count();
            prop_assert_eq!(served + refused, desired.services.len());
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
                let ops = plan(&desired, &tables, ROOMY).ops;
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
