//! What `docs/survival.md` says of each fault, once and under load. `cargo xtask test --soak` has them happen again and
//! again.
#![allow(clippy::unwrap_used, reason = "a failed assumption is a failed test")]

use lb_tests::{
    skip,
    survival::{FAULTS, World},
};

#[test]
fn every_fault_costs_no_more_than_the_document_says() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    let mut world = World::new().unwrap();
    let load = world.load().unwrap();
    for fault in &FAULTS {
        let begun = std::time::Instant::now();
        let outcome = fault.inject(&mut world, &load).unwrap();
        println!("{} {:?}: {:?} {}", fault.name, begun.elapsed(), outcome.tally, outcome.meanwhile);
        outcome.check().unwrap();
    }
    load.finish();
}
