//! Who serves which (address, port, protocol).

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use lb_common::service::ServiceKey;

use crate::{
    object::{ObjectKey, Protocol, Refusal},
    refusal::reason,
};

/// A Service port that claims frontends. Of several claimants the first in this order owns a frontend: the oldest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Claimant {
    /// When the Service was created.
    pub(super) created: i64,
    /// The Service.
    pub(super) object: Arc<ObjectKey>,
    /// Its port's place in `spec.ports`.
    pub(super) position: usize,
    /// Its port's number.
    pub(super) port: u16,
}

/// Every claim.
#[derive(Debug, Default)]
pub(super) struct Ownership {
    /// `None` stands before all claimants of a frontend, for searching.
    claims: BTreeSet<(ServiceKey, Option<Claimant>)>,
}

impl Ownership {
    /// Adds a claim.
    pub(super) fn claim(&mut self, key: ServiceKey, claimant: Claimant) {
        self.claims.insert((key, Some(claimant)));
    }

    /// Takes a claim back.
    pub(super) fn release(&mut self, key: ServiceKey, claimant: Claimant) {
        self.claims.remove(&(key, Some(claimant)));
    }

    /// Who claims a frontend, the owner first.
    pub(super) fn claimants(&self, key: ServiceKey) -> impl Iterator<Item = &Claimant> {
        let behind = self.claims.range((key, None)..);
        behind.take_while(move |(other, _)| *other == key).filter_map(|(_, claimant)| claimant.as_ref())
    }

    /// True where the port at `position` of a Service owns a frontend.
    pub(super) fn owns(&self, key: ServiceKey, object: &ObjectKey, position: usize) -> bool {
        self.claimants(key).next().is_some_and(|owner| *owner.object == *object && owner.position == position)
    }

    /// The refusals of all who claim a frontend and do not own it.
    pub(super) fn conflicts(&self, key: ServiceKey) -> Vec<Refusal> {
        let mut claimants = self.claimants(key);
        let Some(owner) = claimants.next() else { return Vec::new() };
        claimants.map(|claimant| conflict(key, claimant, owner)).collect()
    }
}

fn conflict(key: ServiceKey, claimant: &Claimant, owner: &Claimant) -> Refusal {
    let whose = if claimant.object == owner.object {
        format!("its port {} already", owner.port)
    } else {
        let same_age = claimant.created == owner.created;
        format!("Service {}, which is {}", owner.object, if same_age { "first by name" } else { "older" })
    };
    let claimed = SocketAddr::new(IpAddr::from(key.address), u16::from_be(key.port_be));
    let protocol = Protocol::from_number(key.protocol).map(|protocol| protocol.to_string());
    let (object, protocol) = (&claimant.object, protocol.unwrap_or_default());
    let message = format!("{claimed}/{protocol} of Service {object} belongs to {whose}");
    Refusal::of_service(object, reason::FRONTEND_CONFLICT, message)
}
