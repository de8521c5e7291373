//! Decisions that follow a cluster step by step are those that a fresh start would take, and what they say has changed
//! is what has changed.
#![allow(clippy::unwrap_used, reason = "a failed assumption is a failed test")]

#[path = "convergence/support/cluster.rs"]
mod cluster;

use std::collections::{BTreeMap, BTreeSet};

use cluster::{churn, config, snapshot, walk};
use lb_model::{
    config::NodeConfig,
    desired::{Changes, Decisions, Desired, desired},
    object::Snapshot,
};
use proptest::{collection, prelude::*};

/// Keys whose values are different, or which only one of the maps has.
fn differences<K: Ord + Clone, V: PartialEq>(old: &BTreeMap<K, V>, new: &BTreeMap<K, V>) -> BTreeSet<K> {
    old.keys().chain(new.keys()).filter(|key| old.get(key) != new.get(key)).cloned().collect()
}

fn walks() -> impl Strategy<Value = Vec<Snapshot>> {
    prop_oneof![4 => walk(), 1 => churn(), 1 => collection::vec(snapshot(), 1..4)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]
    #[test]
    fn a_walk_is_decided_step_by_step_as_from_scratch(walk in walks(), moves in collection::vec(0u8..8, 12)) {
        let mut decisions = Decisions::default();
        let mut before = Desired::default();
        let mut config = config();
        for (snapshot, moved) in walk.iter().zip(moves.into_iter().chain([0])) {
            if moved == 7 {
                config = other(&config);
            }
            let changes = decisions.update(snapshot, &config);
            prop_assert_eq!(decisions.desired(), &desired(snapshot, &config));
            let now = decisions.desired();
            prop_assert_eq!(&changes.services, &differences(&before.services, &now.services));
            prop_assert_eq!(&changes.backends, &differences(&before.backends, &now.backends));
            prop_assert_eq!(changes.peers, before.peers != now.peers);
            prop_assert_eq!(changes.refusals, before.refusals != now.refusals);
            prop_assert_eq!(decisions.update(snapshot, &config), Changes::default());
            before = decisions.desired().clone();
        }
    }
}

/// The same node with another address.
fn other(config: &NodeConfig) -> NodeConfig {
    let mut config = config.clone();
    config.addresses.push("203.0.113.1".parse().unwrap());
    config
}
