//! Rings from members.

use lb_common::{maglev, ring};

use crate::{backend_id::BackendId, slots::Slots};

/// The slots of a ring: the `indices` of its `members`, shared out.
pub(super) fn slots(members: &[BackendId], indices: &[u32]) -> Slots {
    let ring_members: Vec<_> = members.iter().map(|member| member.member()).collect();
    let mut slots = vec![0; ring::size_for(members.len()) as usize];
    maglev::fill(&ring_members, &mut vec![(0, 0); members.len()], &mut slots);
    for slot in &mut slots {
        *slot = indices[*slot as usize];
    }
    slots.into()
}
