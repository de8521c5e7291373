//! Kubernetes API objects → the model's objects, and by name what could not be taken.
//!
//! A bad entry (one port, one address) is refused alone and the rest of its object is served; an object that says
//! nothing usable is refused whole. Objects that are simply not ours (headless Services, FQDN slices, …) are skipped
//! in silence: that is a rule, not a fault.

mod endpoint_slice;
mod field;
mod ingress;
mod ingress_class;
mod kind;
mod node;
mod object;
mod secret;
mod service;
mod traffic;

use k8s_openapi::{
    api::{core::v1 as core, discovery::v1 as discovery},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use lb_model::object::{ObjectKey, Refusal};
use serde::de::DeserializeOwned;
use serde_json::Value;

use self::field::check_name;
pub(crate) use self::field::is_label;
pub(crate) use self::object::{keys, remove};
pub use self::{
    field::{Finding, reason},
    ingress::legacy,
    kind::Kind,
    object::{Object, contains},
};
use crate::Consumer;

/// Namespace of an object that names none, as kubectl has it.
pub const DEFAULT_NAMESPACE: &str = "default";

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

/// Translates one object, given as JSON, for one program.
pub fn translate(consumer: Consumer, kind: Kind, object: &Value) -> Translation {
    let mut findings = Vec::new();
    let outcome = match understood(consumer, kind, object, &mut findings) {
        Ok(Some(object)) => Outcome::Served(object),
        Ok(None) => Outcome::Skipped,
        Err(finding) => {
            findings.push(finding);
            Outcome::Refused
        }
    };
    Translation { kind, key: key_of(kind, object), outcome, findings }
}

/// The object as the model knows it, or nothing where it is not ours.
fn understood(
    consumer: Consumer,
    kind: Kind,
    object: &Value,
    findings: &mut Vec<Finding>,
) -> Result<Option<Object>, Finding> {
    Ok(match kind {
        Kind::Service => {
            let object = decode::<core::Service>(object)?;
            service::translate(consumer, &object, findings)?.map(Object::Service)
        }
        Kind::EndpointSlice => {
            let object = decode::<discovery::EndpointSlice>(object)?;
            endpoint_slice::translate(consumer, &object, findings)?.map(Object::EndpointSlice)
        }
        Kind::Node => {
            let object = decode::<core::Node>(object)?;
            check_name(&object.metadata)?;
            Some(Object::Node(node::translate(&object, findings)))
        }
        Kind::Ingress => Some(Object::Ingress(ingress::translate(object, findings)?)),
        Kind::IngressClass => {
            let object = decode::<ingress_class::Class>(object)?;
            Some(Object::IngressClass(ingress_class::translate(&object)?))
        }
        Kind::Secret => secret::translate(object)?.map(Object::Secret),
    })
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
