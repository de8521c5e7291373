//! What the API server holds, kind by kind.

use std::collections::BTreeMap;

use lb_model::object::{ObjectKey, Refusal, Snapshot};

use super::change::Change;
use crate::sources::translate::{Kind, Object, Outcome, Translation};

/// The objects of every kind; a kind is absent until its first list is complete.
#[derive(Debug, Default)]
pub(super) struct Sets {
    kinds: BTreeMap<Kind, Set>,
}

type Set = BTreeMap<ObjectKey, Entry>;

#[derive(Debug)]
struct Entry {
    /// The object as it was last usable.
    object: Option<Object>,
    refused: Vec<Refusal>,
}

impl Sets {
    /// Takes a change.
    pub(super) fn take(&mut self, change: Change) {
        match change {
            Change::Listed(kind, translations) => {
                let mut before = self.kinds.remove(&kind).unwrap_or_default();
                let mut set = Set::new();
                for translation in translations {
                    let old = before.remove(&translation.key);
                    put(&mut set, old, translation);
                }
                self.kinds.insert(kind, set);
            }
            Change::Applied(translation) => {
                let set = self.kinds.entry(translation.kind).or_default();
                let old = set.remove(&translation.key);
                put(set, old, translation);
            }
            Change::Deleted(kind, key) => {
                self.kinds.entry(kind).or_default().remove(&key);
            }
        }
    }

    /// Everything, once every kind was listed.
    pub(super) fn snapshot(&self) -> Option<Snapshot> {
        if self.kinds.len() < Kind::ALL.len() {
            return None;
        }
        let mut snapshot = Snapshot::default();
        for (key, entry) in self.kinds.values().flatten() {
            snapshot.refused.extend_from_slice(&entry.refused);
            if let Some(object) = entry.object.clone() {
                object.put(key.clone(), &mut snapshot);
            }
        }
        Some(snapshot)
    }
}

/// Puts an object into a set. One that cannot be used any more leaves its last usable version where it was.
fn put(set: &mut Set, old: Option<Entry>, translation: Translation) {
    let mut refused: Vec<_> = translation.refusals().collect();
    let object = match translation.outcome {
        Outcome::Served(object) => Some(object),
        Outcome::Skipped => return,
        Outcome::Refused => old.and_then(|old| old.object).inspect(|_| {
            for refusal in &mut refused {
                refusal.message.push_str("; the object's last good version stays served");
            }
        }),
    };
    set.insert(translation.key, Entry { object, refused });
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::sources::translate::translate;

    fn service(name: &str, port: Value) -> Translation {
        translate(Kind::Service, &json!({"metadata": {"name": name}, "spec": {"ports": [{"port": port}]}}))
    }

    fn listed(services: Vec<Translation>) -> Sets {
        let mut sets = Sets::default();
        sets.take(Change::Listed(Kind::Node, vec![]));
        sets.take(Change::Listed(Kind::EndpointSlice, vec![]));
        assert_eq!(sets.snapshot(), None, "Services are still to come");
        sets.take(Change::Listed(Kind::Service, services));
        sets
    }

    fn names(sets: &Sets) -> Vec<String> {
        sets.snapshot().unwrap().services.into_keys().map(|key| key.name).collect()
    }

    #[test]
    fn a_list_replaces_its_kind_and_changes_follow() {
        let mut sets = listed(vec![service("a", json!(80)), service("b", json!(80))]);
        assert_eq!(names(&sets), ["a", "b"]);
        sets.take(Change::Applied(service("c", json!(80))));
        sets.take(Change::Deleted(Kind::Service, ObjectKey::new("default", "a")));
        assert_eq!(names(&sets), ["b", "c"]);
        sets.take(Change::Listed(Kind::Service, vec![service("c", json!(80))]));
        assert_eq!(names(&sets), ["c"]);
    }

    #[test]
    fn an_object_that_became_unusable_keeps_its_last_good_version() {
        let mut sets = listed(vec![service("a", json!(80)), service("b", json!("no"))]);
        assert_eq!(names(&sets), ["a"]);
        for change in [
            Change::Applied(service("a", json!("no"))),
            Change::Listed(Kind::Service, vec![service("a", json!([]))]),
        ] {
            sets.take(change);
            let snapshot = sets.snapshot().unwrap();
            assert_eq!(snapshot.services[&ObjectKey::new("default", "a")].ports[0].port, 80);
            assert!(snapshot.refused[0].message.contains("last good version"), "{:?}", snapshot.refused);
        }
        sets.take(Change::Deleted(Kind::Service, ObjectKey::new("default", "a")));
        assert_eq!(sets.snapshot().unwrap(), Snapshot::default());
    }

    #[test]
    fn an_object_that_is_no_longer_ours_goes() {
        let mut sets = listed(vec![service("a", json!(80))]);
        let headless = json!({"metadata": {"name": "a"}, "spec": {"clusterIP": "None"}});
        sets.take(Change::Applied(translate(Kind::Service, &headless)));
        assert_eq!(sets.snapshot().unwrap(), Snapshot::default());
    }
}
