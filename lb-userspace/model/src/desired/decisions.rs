//! What this node serves, kept in step with one snapshot after the other.
//!
//! ```text
//! changed Services ─► guard ─► claims ─► ownership ─┐
//! changed slices ──────┴────────────────────────────┴─► decisions of the Service ports concerned ─► Desired
//! ```
//!
//! What a Service claims follows from the Service, the guard and the node; what is served at a port, from the Service,
//! its slices, the frontends that it owns and the node. Both are decided anew only where one of these changed. A change
//! of a Node or of the node's own configuration is rare and touches everything: all is decided anew then.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    net::IpAddr,
    sync::Arc,
};

use lb_common::service::{SERVICE_DSR, ServiceKey};

use super::{
    Desired, DesiredBackend, DesiredService,
    attributes::Attributes,
    claims::{self, Claims},
    guard::Guard,
    locality::Locality,
    ownership::{Claimant, Ownership},
    port::{self, Decision},
    slices::SlicesByService,
};
use crate::{
    backend_id::BackendId,
    config::NodeConfig,
    object::{ObjectKey, Refusal, Service, Snapshot},
};

/// Everything that was decided, and what it was decided from.
#[derive(Debug, Default)]
pub struct Decisions {
    snapshot: Snapshot,
    config: NodeConfig,
    guard: Guard,
    slices: SlicesByService,
    ownership: Ownership,
    services: BTreeMap<Arc<ObjectKey>, Decided>,
    /// Of Services that ask for what they may not have.
    refused: BTreeMap<Arc<ObjectKey>, Vec<Refusal>>,
    /// Of frontends that several claim.
    conflicts: BTreeMap<ServiceKey, Vec<Refusal>>,
    attributes: Attributes,
    /// Service ports with a frontend for encapsulated packets.
    encapsulated: usize,
    desired: Desired,
}

/// What was decided about one Service.
#[derive(Debug, Default)]
struct Decided {
    /// Its age when it made its claims.
    created: i64,
    claims: Claims,
    /// Name and endpoints of what is served.
    served: Vec<(String, Endpoints)>,
}

/// Sorted, with what a Service port says of each.
type Endpoints = Box<[(BackendId, DesiredBackend)]>;

/// Endpoints of which something else is said, with what was said before.
type Touched = BTreeMap<BackendId, Option<DesiredBackend>>;

/// What an update changed in [`Desired`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Names of Service ports that came, went or are different.
    pub services: BTreeSet<String>,
    /// Endpoints that came, went or are different.
    pub backends: BTreeSet<BackendId>,
    /// The peers are others.
    pub peers: bool,
    /// What is refused is something else.
    pub refusals: bool,
}

impl Changes {
    fn between(old: &Desired, new: &Desired) -> Self {
        Self {
            services: differences(&old.services, &new.services),
            backends: differences(&old.backends, &new.backends),
            peers: old.peers != new.peers,
            refusals: old.refusals != new.refusals,
        }
    }

    /// Adds later changes.
    pub fn extend(&mut self, later: Self) {
        self.services.extend(later.services);
        self.backends.extend(later.backends);
        self.peers |= later.peers;
        self.refusals |= later.refusals;
    }
}

impl Decisions {
    /// What should be served now.
    pub fn desired(&self) -> &Desired {
        &self.desired
    }

    /// As [`desired`](Self::desired), for who needs nothing else.
    pub fn into_desired(self) -> Desired {
        self.desired
    }

    /// Takes the next snapshot.
    pub fn update(&mut self, snapshot: &Snapshot, config: &NodeConfig) -> Changes {
        if self.snapshot.nodes == snapshot.nodes && self.config == *config {
            return self.follow(snapshot);
        }
        let mut fresh = Self {
            guard: Guard::new(&snapshot.nodes),
            config: config.clone(),
            snapshot: Snapshot { nodes: snapshot.nodes.clone(), ..Snapshot::default() },
            ..Self::default()
        };
        fresh.follow(snapshot);
        let changes = Changes::between(&self.desired, &fresh.desired);
        *self = fresh;
        changes
    }

    /// Takes the next snapshot of the same nodes.
    fn follow(&mut self, snapshot: &Snapshot) -> Changes {
        let before = mem::replace(&mut self.snapshot, snapshot.clone());
        let mut claiming = self.guard.follow(&before, snapshot);
        claiming.extend(
            snapshot.services.changes_since(&before.services).map(|change| Arc::new(change.key.clone())),
        );
        let mut deciding: BTreeSet<_> =
            self.slices.follow(&before.slices, &snapshot.slices).into_iter().map(Arc::new).collect();
        let mut contested = BTreeSet::new();
        let mut refusals_changed = !Arc::ptr_eq(&before.refused, &snapshot.refused);
        let node_port_addresses = self.config.node_port_addresses(snapshot);
        for object in claiming {
            refusals_changed |= self.claim(&object, &node_port_addresses, &mut contested);
            deciding.insert(object);
        }
        for key in contested {
            deciding.extend(self.ownership.claimants(key).map(|claimant| claimant.object.clone()));
            refusals_changed |= replace(&mut self.conflicts, key, self.ownership.conflicts(key));
        }
        let mut changes = Changes::default();
        let mut touched = Touched::new();
        for object in deciding {
            self.decide(&object, &mut changes.services, &mut touched);
        }
        let is_different = |(id, before): &(BackendId, Option<DesiredBackend>)| {
            self.desired.backends.get(id) != before.as_ref()
        };
        changes.backends = touched.into_iter().filter(is_different).map(|(id, _)| id).collect();
        changes.peers = self.choose_peers();
        changes.refusals = refusals_changed && self.gather_refusals();
        changes
    }

    /// Renews the claims of a Service. Frontends that it claims or claimed go into `contested`, where that is another
    /// matter now. True where its refusals changed.
    fn claim(
        &mut self,
        object: &Arc<ObjectKey>,
        node_port_addresses: &[IpAddr],
        contested: &mut BTreeSet<ServiceKey>,
    ) -> bool {
        let service = self.snapshot.services.get(&**object);
        let mut claims = service
            .map(|service| claims::claims(object, service, node_port_addresses, &self.config, &self.guard))
            .unwrap_or_default();
        let refusals_changed = replace(&mut self.refused, object.clone(), mem::take(&mut claims.refusals));
        let decided = self.services.entry(object.clone()).or_default();
        for (key, claimant) in claimants(object, decided.created, &decided.claims) {
            self.ownership.release(key, claimant);
            contested.insert(key);
        }
        (decided.created, decided.claims) = (service.map_or(0, |service| service.created), claims);
        for (key, claimant) in claimants(object, decided.created, &decided.claims) {
            self.ownership.claim(key, claimant);
            contested.insert(key);
        }
        refusals_changed
    }

    /// Decides what is served for a Service. Names of what is different go into `changed`, endpoints that one of its
    /// ports says something else of into `touched`.
    fn decide(&mut self, object: &Arc<ObjectKey>, changed: &mut BTreeSet<String>, touched: &mut Touched) {
        let Some(decided) = self.services.get(object) else { return };
        let decisions =
            self.snapshot.services.get(&**object).map(|service| self.ports(object, service, &decided.claims));
        let is_gone = decisions.is_none();
        let mut served = Vec::new();
        let mut before: BTreeMap<_, _> = decided.served.iter().cloned().collect();
        for Decision { name, service, endpoints } in decisions.into_iter().flatten() {
            let old = before.remove(&name).unwrap_or_default();
            self.note(&old, &endpoints, touched);
            served.push((name.clone(), endpoints));
            let old = self.desired.services.get(&name);
            if old != Some(&service) {
                self.encapsulated += usize::from(takes_encapsulated(&service));
                self.encapsulated -= usize::from(old.is_some_and(takes_encapsulated));
                changed.insert(name.clone());
                self.desired.services.insert(name, service);
            }
        }
        for (name, old) in before {
            self.note(&old, &[], touched);
            let gone = self.desired.services.remove(&name);
            self.encapsulated -= usize::from(gone.as_ref().is_some_and(takes_encapsulated));
            changed.insert(name);
        }
        if is_gone {
            self.services.remove(object);
        } else if let Some(decided) = self.services.get_mut(object) {
            decided.served = served;
        }
    }

    /// The decisions about all ports of a Service.
    fn ports(&self, object: &ObjectKey, service: &Service, claims: &Claims) -> Vec<Decision> {
        let locality = Locality::new(&self.snapshot, &self.config);
        let slices = self.slices.of(object);
        let ports =
            claims.ports.iter().filter_map(|claims| Some((claims, service.ports.get(claims.position)?)));
        let decisions = ports.flat_map(|(claims, port)| {
            let owned =
                |frontend: &&super::Frontend| self.ownership.owns(frontend.key, object, claims.position);
            let frontends = claims.frontends.iter().filter(owned).copied().collect();
            port::decide(object, service, port, frontends, slices.clone(), &locality)
        });
        decisions.collect()
    }

    /// Takes the endpoints of a Service port from `old` to `new`.
    fn note(
        &mut self,
        old: &[(BackendId, DesiredBackend)],
        new: &[(BackendId, DesiredBackend)],
        touched: &mut Touched,
    ) {
        let backends = &mut self.desired.backends;
        for endpoint @ (id, said) in old {
            if new.binary_search(endpoint).is_err() {
                touched.entry(*id).or_insert_with(|| backends.get(id).copied());
                self.attributes.forget(*id, *said, backends);
            }
        }
        for endpoint @ (id, said) in new {
            if old.binary_search(endpoint).is_err() {
                touched.entry(*id).or_insert_with(|| backends.get(id).copied());
                self.attributes.note(*id, *said, backends);
            }
        }
    }

    /// Peers are the other nodes' addresses, where any frontend is to be served for packets that they have
    /// encapsulated. True where they are others now.
    fn choose_peers(&mut self) -> bool {
        let wanted = self.encapsulated > 0;
        if wanted != self.desired.peers.is_empty() {
            return false;
        }
        let others = self.snapshot.nodes.iter().filter(|(name, _)| wanted && **name != self.config.node_name);
        let peers = others
            .flat_map(|(name, node)| node.addresses().map(move |address| (address, ObjectKey::new("", name))))
            .filter(|(address, _)| !self.config.owns(*address))
            .collect();
        mem::replace(&mut self.desired.peers, peers) != self.desired.peers
    }

    fn gather_refusals(&mut self) -> bool {
        let found = self.refused.values().chain(self.conflicts.values()).flatten();
        let mut refusals: Vec<_> = self.snapshot.refused.iter().chain(found).cloned().collect();
        refusals.sort_unstable();
        refusals.dedup();
        let is_news = self.desired.refusals != refusals;
        self.desired.refusals = refusals;
        is_news
    }
}

/// Keys whose values are different, or which only one of two maps has.
fn differences<K: Ord + Clone, V: PartialEq>(old: &BTreeMap<K, V>, new: &BTreeMap<K, V>) -> BTreeSet<K> {
    old.keys().chain(new.keys()).filter(|key| old.get(key) != new.get(key)).cloned().collect()
}

fn claimants(
    object: &Arc<ObjectKey>,
    created: i64,
    claims: &Claims,
) -> impl Iterator<Item = (ServiceKey, Claimant)> {
    claims.ports.iter().flat_map(move |port| {
        let claimant =
            Claimant { created, object: object.clone(), position: port.position, port: port.number };
        port.frontends.iter().map(move |frontend| (frontend.key, claimant.clone()))
    })
}

fn takes_encapsulated(service: &DesiredService) -> bool {
    service.frontends.iter().any(|frontend| frontend.flags & SERVICE_DSR != 0)
}

/// Sets the refusals under a key, none of which is no entry; true where they were others before.
fn replace<K: Ord>(refusals: &mut BTreeMap<K, Vec<Refusal>>, key: K, new: Vec<Refusal>) -> bool {
    if refusals.get(&key).map(Vec::as_slice).unwrap_or_default() == new {
        return false;
    }
    if new.is_empty() {
        refusals.remove(&key);
    } else {
        refusals.insert(key, new);
    }
    true
}
