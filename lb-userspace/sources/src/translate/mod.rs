//! Kubernetes API objects → the model's objects, and by name what could not be taken.
//!
//! A bad entry (one port, one address) is refused alone and the rest of its object is served; an object that says
//! nothing usable is refused whole. Objects that are simply not ours (headless Services, FQDN slices, …) are skipped
//! in silence: that is a rule, not a fault.

mod endpoint_slice;
mod field;
mod node;
mod service;
mod traffic;

use k8s_openapi::{
    api::{core::v1 as core, discovery::v1 as discovery},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use lb_model::{
    object::{EndpointSlice, Node, ObjectKey, Refusal, Service, Snapshot},
    persistent_map::PersistentMap,
};
use serde::de::DeserializeOwned;
use serde_json::Value;

pub use self::field::{Finding, reason};

/// Namespace of an object that names none, as kubectl has it.
pub const DEFAULT_NAMESPACE: &str = "default";

/// A kind of object that Sluice follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// core/v1 Service.
    Service,
    /// discovery.k8s.io/v1 EndpointSlice.
    EndpointSlice,
    /// core/v1 Node.
    Node,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Service, Self::EndpointSlice, Self::Node];

    /// The kind's name in manifests.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Service => "Service",
            Self::EndpointSlice => "EndpointSlice",
            Self::Node => "Node",
        }
    }

    /// `apiVersion` of the kind.
    pub const fn api_version(self) -> &'static str {
        match self {
            Self::Service | Self::Node => "v1",
            Self::EndpointSlice => "discovery.k8s.io/v1",
        }
    }

    /// The kind behind a manifest's `apiVersion` and `kind`, if Sluice follows it.
    pub fn of(api_version: &str, kind: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.api_version() == api_version && known.as_str() == kind)
    }

    /// True where objects of the kind live in a namespace.
    pub const fn is_namespaced(self) -> bool {
        !matches!(self, Self::Node)
    }
}

/// An object as the model knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Object {
    /// A Service.
    Service(Service),
    /// An EndpointSlice.
    EndpointSlice(EndpointSlice),
    /// A Node.
    Node(Node),
}

impl Object {
    /// Puts the object into a snapshot; false where it was there already and is no different.
    pub fn put(self, key: ObjectKey, snapshot: &mut Snapshot) -> bool {
        match self {
            Self::Service(service) => put(&mut snapshot.services, key, service),
            Self::EndpointSlice(slice) => put(&mut snapshot.slices, key, slice),
            Self::Node(node) => put(&mut snapshot.nodes, key.name, node),
        }
    }
}

fn put<K: Ord, V: PartialEq>(objects: &mut PersistentMap<K, V>, key: K, object: V) -> bool {
    let changed = objects.get(&key) != Some(&object);
    if changed {
        objects.insert(key, object);
    }
    changed
}

/// What became of an API object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Served, save for what the findings name.
    Served(Object),
    /// Not ours, by a rule of the API.
    Skipped,
    /// Nothing of it can be used; the findings say why.
    Refused,
}

/// An API object after translation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Translation {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace and name, as far as they could be read.
    pub key: ObjectKey,
    /// What became of it.
    pub outcome: Outcome,
    /// What was refused of it.
    pub findings: Vec<Finding>,
}

impl Translation {
    /// The findings as refusals.
    pub fn refusals(&self) -> impl Iterator<Item = Refusal> + '_ {
        self.findings.iter().map(|finding| Refusal {
            kind: self.kind.as_str().to_owned(),
            object: self.key.clone(),
            reason: finding.reason.to_owned(),
            message: finding.to_string(),
        })
    }
}

/// Translates one object, given as JSON.
pub fn translate(kind: Kind, object: &Value) -> Translation {
    let mut findings = Vec::new();
    let outcome = match kind {
        Kind::Service => decode::<core::Service>(object)
            .and_then(|object| Ok(service::translate(&object, &mut findings)?.map(Object::Service))),
        Kind::EndpointSlice => decode::<discovery::EndpointSlice>(object).and_then(|object| {
            Ok(endpoint_slice::translate(&object, &mut findings)?.map(Object::EndpointSlice))
        }),
        Kind::Node => decode::<core::Node>(object).and_then(|object| {
            field::check_name(&object.metadata)?;
            Ok(Some(Object::Node(node::translate(&object, &mut findings))))
        }),
    };
    let outcome = match outcome {
        Ok(Some(object)) => Outcome::Served(object),
        Ok(None) => Outcome::Skipped,
        Err(finding) => {
            findings.push(finding);
            Outcome::Refused
        }
    };
    Translation { kind, key: key_of(kind, object), outcome, findings }
}

/// Namespace and name, read leniently: an object that cannot be decoded still has to be refused by name.
pub fn key_of(kind: Kind, object: &Value) -> ObjectKey {
    let text = |field: &str| object["metadata"][field].as_str().filter(|text| !text.is_empty());
    let namespace = if kind.is_namespaced() { text("namespace").unwrap_or(DEFAULT_NAMESPACE) } else { "" };
    ObjectKey::new(namespace, text("name").unwrap_or_default())
}

/// True where an EndpointSlice says which Service it belongs to.
pub fn has_service_name(object: &Value) -> bool {
    object["metadata"]["labels"][endpoint_slice::SERVICE_NAME].as_str().is_some_and(|name| !name.is_empty())
}

fn decode<T: DeserializeOwned>(object: &Value) -> Result<T, Finding> {
    serde_path_to_error::deserialize(object).map_err(|error| {
        let path = error.path().to_string();
        let path = if path == "." { String::new() } else { path };
        Finding::new(
            path,
            reason::UNDECODABLE,
            format!("{}; write the field as the Kubernetes API has it", error.into_inner()),
        )
    })
}

/// `metadata.creationTimestamp` in seconds since the epoch; 0 where there is none.
fn created(metadata: &ObjectMeta) -> i64 {
    metadata.creation_timestamp.as_ref().map_or(0, |time| time.0.as_second())
}

fn has_label(metadata: &ObjectMeta, label: &str) -> bool {
    metadata.labels.as_ref().is_some_and(|labels| labels.contains_key(label))
}

#[cfg(test)]
mod tests;
