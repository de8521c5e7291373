//! What the server holds: objects, their history, and the faults to come.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use serde_json::{Value, json};
use tokio::sync::Notify;

use super::request::{Operation, Resource};

/// How a request fails.
#[derive(Clone, Debug)]
pub enum Fault {
    /// A `Status` of this code.
    Status(u16),
    /// 200 and this body, complete at once.
    Body(String),
    /// The connection is closed without an answer.
    Close,
    /// The answer waits for the gate and is right then.
    Hold(Arc<Notify>),
}

/// How an expired version is told to the client: real servers do both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gone {
    /// The request is answered with HTTP 410.
    Http,
    /// The watch is accepted and its first event is an `ERROR` of code 410.
    Event,
}

/// What running watches are told.
#[derive(Clone, Debug)]
pub(super) enum Order {
    Look,
    Bookmark,
    Line(String),
    CutNextEvent,
    End,
    Break,
}

/// A change of an object.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) version: u64,
    pub(super) resource: Resource,
    pub(super) before: Option<Value>,
    pub(super) after: Option<Value>,
}

/// The rest of a list that is being read page by page.
#[derive(Debug)]
pub(super) struct Rest {
    pub(super) version: u64,
    pub(super) items: VecDeque<Value>,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) version: u64,
    pub(super) objects: BTreeMap<(Resource, String), Value>,
    pub(super) log: Vec<Change>,
    /// Watches cannot start before this version.
    pub(super) oldest: u64,
    pub(super) gone: Gone,
    pub(super) rests: BTreeMap<String, Rest>,
    pub(super) down: bool,
    pub(super) events_forbidden: bool,
    faults: BTreeMap<(Resource, Operation), VecDeque<Fault>>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            version: 100,
            objects: BTreeMap::new(),
            log: Vec::new(),
            oldest: 0,
            gone: Gone::Event,
            rests: BTreeMap::new(),
            down: false,
            events_forbidden: false,
            faults: BTreeMap::new(),
        }
    }
}

impl State {
    pub(super) fn raise_version(&mut self) -> u64 {
        self.version += 1;
        self.version
    }

    pub(super) fn put(&mut self, resource: Resource, key: &str, object: Option<Value>) {
        let version = self.raise_version();
        let key = (resource, key.to_owned());
        let before = self.objects.remove(&key);
        if let Some(object) = object {
            let mut object = stamp(object, version);
            // An object keeps the uid that it was made with.
            let uid = before.as_ref().map_or_else(|| json!(format!("uid-{version}")), uid);
            if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
                metadata.entry("uid").or_insert(uid);
            }
            self.objects.insert(key.clone(), object);
        }
        let after = self.objects.get(&key).cloned();
        self.log.push(Change { version, resource, before, after });
    }

    pub(super) fn expire(&mut self, gone: Gone) {
        self.oldest = self.version;
        self.gone = gone;
        self.log.clear();
        self.rests.clear();
    }

    pub(super) fn fail(&mut self, resource: Resource, operation: Operation, fault: Fault, times: usize) {
        self.faults.entry((resource, operation)).or_default().extend(vec![fault; times]);
    }

    pub(super) fn next_fault(&mut self, resource: Resource, operation: Operation) -> Option<Fault> {
        self.faults.get_mut(&(resource, operation))?.pop_front()
    }
}

/// Writes the version of a change into an object, where it has room for one.
pub(super) fn stamp(mut object: Value, version: u64) -> Value {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.insert("resourceVersion".to_owned(), json!(version.to_string()));
    }
    object
}

fn uid(object: &Value) -> Value {
    object["metadata"]["uid"].clone()
}
