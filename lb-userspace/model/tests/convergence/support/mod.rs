//! What the property tests share.

mod cluster;
mod tables;

pub(crate) use cluster::{churn, config, endpoint, node, service, slice, snapshot, walk};
pub(crate) use tables::{ROOMY, admits, assert_sound, junk, meaning};

use lb_model::{
    desired::{Desired, desired},
    object::Snapshot,
};

pub(crate) fn decide(snapshot: &Snapshot) -> Desired {
    desired(snapshot, &config())
}
