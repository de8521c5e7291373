//! Any bytes as what an API server sends: the lines of a watch, then a list.

use std::time::Instant;

use lb_model::object::{ObjectKey, Snapshot};
use lb_sources::{
    Consumer, SecretSelector,
    kube::{
        change::{self, Change},
        sets::Sets,
        wire::{Event, Page},
    },
    manifest::document,
    translate::{self, Kind, contains},
};
use serde_json::Value;

use crate::{cluster, manifest::assert_is_accounted_for, oracle};

/// The program that follows.
const CONSUMER: Consumer = Consumer::Agent;
/// The longest walk that is decided and planned step by step.
const LONGEST_WALK: usize = 6;

/// Follows the bytes as the streams and sets of the agent do, from a list with the good Service in it.
pub fn run(bytes: &[u8]) {
    let mut sets = Sets::new(CONSUMER, SecretSelector::default());
    for kind in CONSUMER.kinds() {
        sets.take(Change::Listed(*kind, good(*kind)));
    }
    let mut walk = vec![snapshot(&mut sets)];
    for (line, position) in bytes.split(|byte| *byte == b'\n').zip(0..) {
        // The agent has a stream for each kind; here they take turns.
        let stream = CONSUMER.kinds()[position % CONSUMER.kinds().len()];
        if let Some(after) = follow(&mut sets, stream, line)
            && walk.len() < LONGEST_WALK
        {
            walk.push(after);
        }
    }
    if let Ok(page) = serde_json::from_slice::<Page<'_>>(bytes)
        && let Ok(items) = page.items.iter().flatten().map(|item| serde_json::from_str(item.get())).collect()
    {
        walk.push(list(&mut sets, items));
    }
    oracle::check(&walk.iter().collect::<Vec<_>>());
}

/// One line of the watch of a kind; the snapshot after it where it was an event of an object.
fn follow(sets: &mut Sets, kind: Kind, line: &[u8]) -> Option<Snapshot> {
    let now = Instant::now();
    match Event::decode(line).ok()? {
        Event::Applied { object, .. } => {
            if is_good(kind, &object) {
                return None;
            }
            let arrival = change::applied(&object, now);
            sets.take(Change::Applied(Box::new(translate::translate(CONSUMER, kind, &object)), arrival));
            let after = snapshot(sets);
            assert_is_accounted_for(CONSUMER, kind, &object, &after);
            Some(after)
        }
        Event::Deleted { object, .. } => {
            if is_good(kind, &object) {
                return None;
            }
            let key = translate::key_of(kind, &object);
            sets.take(Change::Deleted(kind, key.clone(), change::deleted(now)));
            let after = snapshot(sets);
            assert!(
                !contains(kind, &key, &after) && !oracle::names(&after.refused, kind.as_str(), &key),
                "{key} was deleted"
            );
            Some(after)
        }
        Event::Bookmark { .. } | Event::Error(_) => None,
    }
}

/// A list of Services, the good one first.
fn list(sets: &mut Sets, items: Vec<Value>) -> Snapshot {
    let others: Vec<_> = items.iter().filter(|object| !is_good(Kind::Service, object)).collect();
    let translated = others.iter().map(|object| translate::translate(CONSUMER, Kind::Service, object));
    sets.take(Change::Listed(Kind::Service, good(Kind::Service).into_iter().chain(translated).collect()));
    let after = snapshot(sets);
    // Of two objects of a name, which no server sends, the later counts.
    let last =
        |key: &ObjectKey| others.iter().rev().find(|object| translate::key_of(Kind::Service, object) == *key);
    for object in &others {
        let key = translate::key_of(Kind::Service, object);
        assert_is_accounted_for(CONSUMER, Kind::Service, last(&key).unwrap_or(object), &after);
    }
    after
}

fn good(kind: Kind) -> Vec<translate::Translation> {
    let documents = document::parse(cluster::GOOD);
    let objects = documents.iter().flatten().map(document::Document::value);
    let of_kind = objects.filter(|object| document::classify(object) == document::Class::Followed(kind));
    of_kind.map(|object| translate::translate(CONSUMER, kind, object)).collect()
}

fn is_good(kind: Kind, object: &Value) -> bool {
    translate::key_of(kind, object) == cluster::good_key()
}

fn snapshot(sets: &mut Sets) -> Snapshot {
    sets.snapshot().expect("every kind was listed")
}
