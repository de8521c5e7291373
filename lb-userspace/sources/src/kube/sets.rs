//! What the API server holds, kind by kind.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
};

use lb_model::object::{ObjectKey, Refusal, Snapshot};

use super::{
    change::Change,
    wanted::{Names, Wanted},
};
use crate::{
    Arrival, Consumer, SecretSelector,
    translate::{self, Kind, Outcome, Translation},
};

/// The objects of every kind.
#[derive(Debug)]
pub struct Sets {
    consumer: Consumer,
    wanted: Wanted,
    /// Kinds whose first list is complete.
    listed: BTreeSet<Kind>,
    /// The objects as they were last usable.
    usable: Snapshot,
    refused: BTreeMap<(Kind, ObjectKey), Vec<Refusal>>,
    /// `refused` has news for the snapshot.
    refused_changed: bool,
    /// Something changed that `wanted` goes by.
    is_unsettled: bool,
}

impl Sets {
    /// Nothing yet, of the kinds that `consumer` follows.
    pub fn new(consumer: Consumer, secrets: SecretSelector) -> Self {
        Self {
            consumer,
            wanted: Wanted::new(secrets),
            listed: BTreeSet::new(),
            usable: Snapshot::default(),
            refused: BTreeMap::new(),
            refused_changed: false,
            is_unsettled: false,
        }
    }

    /// Takes a change. Gives its arrival back where anything is different now and an event brought it.
    pub fn take(&mut self, change: Change) -> Option<Arrival> {
        let kind = change.kind();
        if let Some(secret) = secret_of(&change) {
            if !self.wanted.wants(secret) {
                return None;
            }
            self.is_unsettled |= self.wanted.answer(secret);
        }
        let (changed, arrival) = match change {
            Change::Listed(kind, translations) => (self.replace(kind, translations), None),
            Change::Applied(translation, arrival) => (self.put(*translation), Some(arrival)),
            Change::Deleted(kind, key, arrival) => (self.remove(kind, &key), Some(arrival)),
            Change::Unanswered(_) => (false, None),
        };
        self.is_unsettled |= changed && matches!(kind, Kind::Ingress | Kind::IngressClass);
        arrival.filter(|_| changed)
    }

    /// Everything, once every kind was listed and there was an answer about every Secret that is wanted.
    pub fn snapshot(&mut self) -> Option<Snapshot> {
        self.settle();
        if mem::take(&mut self.refused_changed) {
            self.usable.refused = self.refused.values().flatten().cloned().collect();
        }
        (self.listed.len() == self.consumer.kinds().len()).then(|| {
            let mut snapshot = self.usable.clone();
            if self.consumer.follows(Kind::Secret) {
                snapshot.ingresses = self.wanted.published().clone();
            }
            snapshot
        })
    }

    /// Names of the Secrets that are wanted; none before it is known which.
    pub(super) fn wanted_secrets(&mut self) -> Option<&Names> {
        self.settle();
        self.knows_ingresses().then(|| self.wanted.names())
    }

    /// True where it is known which Ingresses there are and whose.
    fn knows_ingresses(&self) -> bool {
        [Kind::Ingress, Kind::IngressClass, Kind::Secret].iter().all(|kind| self.consumer.follows(*kind))
            && [Kind::Ingress, Kind::IngressClass].iter().all(|kind| self.listed.contains(kind))
    }

    /// Decides which Secrets are wanted and which Ingresses can be published.
    fn settle(&mut self) {
        if !self.knows_ingresses() || !mem::take(&mut self.is_unsettled) {
            return;
        }
        for secret in self.wanted.settle(&self.usable) {
            self.remove(Kind::Secret, &secret);
        }
        if self.wanted.is_complete() {
            self.listed.insert(Kind::Secret);
        }
    }

    /// A list says what there is, and by silence what is gone.
    fn replace(&mut self, kind: Kind, translations: Vec<Translation>) -> bool {
        let listed: BTreeSet<_> = translations.iter().map(|translation| &translation.key).collect();
        let refused = self.refused.keys().filter(|(other, _)| *other == kind).map(|(_, key)| key.clone());
        let mut gone: Vec<_> = translate::keys(kind, &self.usable).into_iter().chain(refused).collect();
        gone.retain(|key| !listed.contains(key));
        let mut changed = self.listed.insert(kind);
        for key in gone {
            changed |= self.remove(kind, &key);
        }
        for translation in translations {
            changed |= self.put(translation);
        }
        changed
    }

    /// Takes a new version of an object. One that cannot be used leaves the last usable version where it was.
    fn put(&mut self, translation: Translation) -> bool {
        let mut refused: Vec<_> = translation.refusals().collect();
        let Translation { kind, key, outcome, .. } = translation;
        match outcome {
            Outcome::Skipped => self.remove(kind, &key),
            Outcome::Served(object) => {
                let refusals_changed = self.refuse(kind, &key, refused);
                let changed = object.put(key.clone(), &mut self.usable);
                if changed && kind == Kind::Ingress {
                    self.wanted.touch(key);
                }
                changed || refusals_changed
            }
            Outcome::Refused => {
                if translate::contains(kind, &key, &self.usable) {
                    for refusal in &mut refused {
                        refusal.message.push_str("; the object's last good version stays served");
                    }
                }
                self.refuse(kind, &key, refused)
            }
        }
    }

    fn remove(&mut self, kind: Kind, key: &ObjectKey) -> bool {
        let was_refused = self.refuse(kind, key, Vec::new());
        let was_usable = translate::remove(kind, key, &mut self.usable);
        was_refused || was_usable
    }

    /// Notes what is refused of an object; true where that is news.
    fn refuse(&mut self, kind: Kind, key: &ObjectKey, refused: Vec<Refusal>) -> bool {
        let place = (kind, key.clone());
        let before = self.refused.get(&place).map(Vec::as_slice).unwrap_or_default();
        if before == refused {
            return false;
        }
        if refused.is_empty() {
            self.refused.remove(&place);
        } else {
            self.refused.insert(place, refused);
        }
        self.refused_changed = true;
        true
    }
}

/// The Secret that a change is an answer about.
fn secret_of(change: &Change) -> Option<&ObjectKey> {
    match change {
        Change::Applied(translation, _) => {
            Some(&translation.key).filter(|_| translation.kind == Kind::Secret)
        }
        Change::Deleted(Kind::Secret, key, _) | Change::Unanswered(key) => Some(key),
        Change::Deleted(..) | Change::Listed(..) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use serde_json::{Value, json};

    use super::*;

    fn translate(kind: Kind, object: &Value) -> Translation {
        translate::translate(Consumer::Agent, kind, object)
    }

    fn service(name: &str, port: Value) -> Translation {
        translate(Kind::Service, &json!({"metadata": {"name": name}, "spec": {"ports": [{"port": port}]}}))
    }

    fn listed(services: Vec<Translation>) -> Sets {
        let mut sets = Sets::new(Consumer::Agent, SecretSelector::default());
        sets.take(Change::Listed(Kind::Node, vec![]));
        sets.take(Change::Listed(Kind::EndpointSlice, vec![]));
        assert_eq!(sets.snapshot(), None, "Services are still to come");
        sets.take(Change::Listed(Kind::Service, services));
        sets
    }

    fn names(sets: &mut Sets) -> Vec<String> {
        sets.snapshot().unwrap().services.keys().map(|key| key.name.clone()).collect()
    }

    fn applied(translation: Translation) -> Change {
        Change::Applied(Box::new(translation), now())
    }

    fn deleted(name: &str) -> Change {
        Change::Deleted(Kind::Service, ObjectKey::new("default", name), now())
    }

    fn now() -> Arrival {
        Arrival { at: Instant::now(), triggered: None }
    }

    #[test]
    fn a_list_replaces_its_kind_and_changes_follow() {
        let mut sets = listed(vec![service("a", json!(80)), service("b", json!(80))]);
        assert_eq!(names(&mut sets), ["a", "b"]);
        sets.take(applied(service("c", json!(80))));
        sets.take(deleted("a"));
        assert_eq!(names(&mut sets), ["b", "c"]);
        sets.take(Change::Listed(Kind::Service, vec![service("c", json!(80))]));
        assert_eq!(names(&mut sets), ["c"]);
    }

    #[test]
    fn an_object_that_became_unusable_keeps_its_last_good_version() {
        let mut sets = listed(vec![service("a", json!(80)), service("b", json!("no"))]);
        assert_eq!(names(&mut sets), ["a"]);
        for change in
            [applied(service("a", json!("no"))), Change::Listed(Kind::Service, vec![service("a", json!([]))])]
        {
            sets.take(change);
            let snapshot = sets.snapshot().unwrap();
            assert_eq!(snapshot.services[&ObjectKey::new("default", "a")].ports[0].port, 80);
            assert!(snapshot.refused[0].message.contains("last good version"), "{:?}", snapshot.refused);
        }
        sets.take(deleted("a"));
        assert_eq!(sets.snapshot().unwrap(), Snapshot::default());
    }

    #[test]
    fn an_object_that_is_no_longer_ours_goes() {
        let mut sets = listed(vec![service("a", json!(80))]);
        let headless = json!({"metadata": {"name": "a"}, "spec": {"clusterIP": "None"}});
        sets.take(applied(translate(Kind::Service, &headless)));
        assert_eq!(sets.snapshot().unwrap(), Snapshot::default());
    }

    #[test]
    fn what_changes_nothing_has_no_arrival() {
        let mut sets = listed(vec![service("a", json!(80))]);
        assert_eq!(sets.take(applied(service("a", json!(80)))), None);
        assert_eq!(sets.take(deleted("b")), None);
        assert!(sets.take(applied(service("a", json!(81)))).is_some());
        assert!(sets.take(applied(service("a", json!("no")))).is_some());
        assert_eq!(sets.take(applied(service("a", json!("no")))), None);
        assert!(sets.take(deleted("a")).is_some());
    }

    #[test]
    fn a_list_that_changes_nothing_shares_everything_with_the_snapshot_before() {
        let mut sets = listed(vec![service("a", json!(80)), service("b", json!(80))]);
        let before = sets.snapshot().unwrap();
        sets.take(Change::Listed(Kind::Service, vec![service("a", json!(80)), service("b", json!(80))]));
        let key = ObjectKey::new("default", "a");
        assert!(std::ptr::eq(&before.services[&key], &sets.snapshot().unwrap().services[&key]));
    }
}
