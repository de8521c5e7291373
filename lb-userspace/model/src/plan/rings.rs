//! Rings from members, remembered.

use std::{collections::BTreeMap, sync::Arc};

use lb_common::{maglev, ring};

use crate::{backend_id::BackendId, desired::Desired, ring_ref::Role};

/// The last rings of each Service port.
#[derive(Debug, Default)]
pub(super) struct Rings {
    clients: BTreeMap<String, Built>,
    peers: BTreeMap<String, Built>,
}

#[derive(Debug)]
struct Built {
    members: Vec<BackendId>,
    indices: Vec<u32>,
    slots: Arc<[u32]>,
}

impl Rings {
    /// Forgets Service ports that are gone.
    pub(super) fn forget_others(&mut self, desired: &Desired) {
        for role in Role::ALL {
            let built = self.built(role);
            if built.len() > desired.services.len() {
                built.retain(|name, _| desired.services.contains_key(name));
            }
        }
    }

    fn built(&mut self, role: Role) -> &mut BTreeMap<String, Built> {
        match role {
            Role::Clients => &mut self.clients,
            Role::Peers => &mut self.peers,
        }
    }

    /// The slots of a Service port's ring: the `indices` of its `members`, shared out.
    pub(super) fn slots(
        &mut self,
        name: &str,
        role: Role,
        members: &[BackendId],
        indices: &[u32],
    ) -> Arc<[u32]> {
        if let Some(built) = self.built(role).get(name)
            && built.members == members
            && built.indices == indices
        {
            return built.slots.clone();
        }
        let slots = slots(members, indices);
        let built = Built { members: members.to_vec(), indices: indices.to_vec(), slots: slots.clone() };
        self.built(role).insert(name.to_owned(), built);
        slots
    }

    /// Takes the maps' copy of a ring in place of our own where both are the same, so that the next comparison is one
    /// of pointers.
    pub(super) fn adopt(
        &mut self,
        name: &str,
        role: Role,
        slots: Arc<[u32]>,
        in_maps: Option<&Arc<[u32]>>,
    ) -> Arc<[u32]> {
        match in_maps {
            Some(in_maps) if *in_maps == slots && !Arc::ptr_eq(in_maps, &slots) => {
                if let Some(built) = self.built(role).get_mut(name) {
                    built.slots = in_maps.clone();
                }
                in_maps.clone()
            }
            _ => slots,
        }
    }
}

fn slots(members: &[BackendId], indices: &[u32]) -> Arc<[u32]> {
    let ring_members: Vec<_> = members.iter().map(|member| member.member()).collect();
    let mut slots = vec![0; ring::size_for(members.len()) as usize];
    maglev::fill(&ring_members, &mut vec![(0, 0); members.len()], &mut slots);
    for slot in &mut slots {
        *slot = indices[*slot as usize];
    }
    slots.into()
}
