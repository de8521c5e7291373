//! Which Secrets are wanted, and which Ingresses wait for them.
//!
//! A Secret that was not asked for yet is not one that is missing: an Ingress of ours is published as soon as there was
//! an answer about each Secret that it names. Until then its version before stays, with the Secrets of that one.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
};

use lb_model::{
    ingress::Ingress,
    object::{ObjectKey, Snapshot},
    persistent_map::PersistentMap,
};

use crate::SecretSelector;

/// Names of Secrets, each with the number of the last request to read it: where that rises, it is read again.
pub(super) type Names = BTreeMap<ObjectKey, u64>;

/// Which Secrets are wanted, and which Ingresses wait for them.
#[derive(Debug)]
pub(super) struct Wanted {
    selector: SecretSelector,
    names: Names,
    requests: u64,
    /// Names about which there was an answer.
    answered: BTreeSet<ObjectKey>,
    /// Ingresses that changed since the last [`settle`](Self::settle).
    touched: BTreeSet<ObjectKey>,
    /// The Ingresses as they are published.
    published: PersistentMap<ObjectKey, Ingress>,
}

impl Wanted {
    pub(super) fn new(selector: SecretSelector) -> Self {
        Self {
            selector,
            names: Names::new(),
            requests: 0,
            answered: BTreeSet::new(),
            touched: BTreeSet::new(),
            published: PersistentMap::default(),
        }
    }

    /// An Ingress is new or different: its Secrets may be, too.
    pub(super) fn touch(&mut self, ingress: ObjectKey) {
        self.touched.insert(ingress);
    }

    /// True where anybody wants a Secret.
    pub(super) fn wants(&self, secret: &ObjectKey) -> bool {
        self.names.contains_key(secret)
    }

    /// Notes an answer about a Secret; true where it is the first.
    pub(super) fn answer(&mut self, secret: &ObjectKey) -> bool {
        !self.answered.contains(secret) && self.answered.insert(secret.clone())
    }

    /// True once there was an answer about every name.
    pub(super) fn is_complete(&self) -> bool {
        self.names.keys().all(|name| self.answered.contains(name))
    }

    /// Decides anew, and returns the Secrets that nobody wants any more.
    pub(super) fn settle(&mut self, usable: &Snapshot) -> Vec<ObjectKey> {
        self.published = self.publishable(usable);
        let mut names: BTreeSet<_> = self.selector.named.clone();
        for ingresses in [&usable.ingresses, &self.published] {
            names.extend(ingresses.iter().flat_map(|(key, ingress)| self.secrets(key, ingress, usable)));
        }
        let touched = mem::take(&mut self.touched);
        let ingress = |key| usable.ingresses.get(key).map(|ingress| (key, ingress));
        let again: BTreeSet<_> = touched
            .iter()
            .filter_map(ingress)
            .flat_map(|(key, ingress)| self.secrets(key, ingress, usable))
            .collect();
        self.requests += 1;
        let before = mem::take(&mut self.names);
        for name in names {
            let number = before.get(&name).copied().filter(|_| !again.contains(&name));
            self.names.insert(name, number.unwrap_or(self.requests));
        }
        self.answered.retain(|name| self.names.contains_key(name));
        before.into_keys().filter(|name| !self.names.contains_key(name)).collect()
    }

    pub(super) fn names(&self) -> &Names {
        &self.names
    }

    /// The Ingresses as they are to be published.
    pub(super) fn published(&self) -> &PersistentMap<ObjectKey, Ingress> {
        &self.published
    }

    /// All Ingresses, those that wait as they were before.
    fn publishable(&self, usable: &Snapshot) -> PersistentMap<ObjectKey, Ingress> {
        let waits = |key: &ObjectKey, ingress| {
            self.secrets(key, ingress, usable).any(|secret| !self.answered.contains(&secret))
        };
        let mut ingresses = usable.ingresses.clone();
        for (key, _) in usable.ingresses.iter().filter(|(key, ingress)| waits(key, ingress)) {
            match self.published.get(key).filter(|before| !waits(key, before)) {
                Some(before) => ingresses.insert(key.clone(), before.clone()),
                None => drop(ingresses.remove(key)),
            }
        }
        ingresses
    }

    /// The Secrets of an Ingress, if it is ours.
    fn secrets<'a>(
        &self,
        key: &'a ObjectKey,
        ingress: &'a Ingress,
        usable: &Snapshot,
    ) -> impl Iterator<Item = ObjectKey> + use<'a> {
        let is_ours =
            !ingress.tls.is_empty() && self.selector.class.selects(ingress, &usable.ingress_classes);
        let entries = if is_ours { ingress.tls.as_slice() } else { &[] };
        let names = entries.iter().filter_map(|entry| entry.secret.as_ref());
        names.map(|name| ObjectKey::new(&key.namespace, name))
    }
}
