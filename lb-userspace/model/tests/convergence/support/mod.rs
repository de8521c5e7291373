//! What the property tests share.

mod cluster;
mod tables;

pub(crate) use cluster::{churn, config, endpoint, node, service, slice, snapshot, walk};
pub(crate) use lb_model::soundness::meaning;
pub(crate) use tables::{ROOMY, admits, assert_sound, junk};

use lb_model::{
    desired::{Desired, desired},
    object::Snapshot,
};

pub(crate) fn decide(snapshot: &Snapshot) -> Desired {
    desired(snapshot, &config())
}
