//! Fields that the API does not know: misspelled, or in the wrong place.
//!
//! The API's own types say which fields there are, so a hint can only name one that exists.

use std::fmt;

use k8s_openapi::{
    api::{core::v1 as core, discovery::v1 as discovery, networking::v1 as networking},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use serde::{
    Deserializer,
    de::{self, DeserializeOwned, Visitor},
    forward_to_deserialize_any,
};
use serde_ignored::Path;
use serde_json::Value;

use lb_sources::translate::{Kind, legacy};

/// A field that the API does not know.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct UnknownField {
    /// Its path.
    pub(super) field: String,
    /// What might be meant, to be put behind the finding; empty where nothing comes close.
    pub(super) hint: String,
}

/// The unknown fields of an object; none where it cannot be decoded, which is an error of its own.
pub(super) fn find(kind: Kind, object: &Value) -> Vec<UnknownField> {
    let is_legacy = kind == Kind::Ingress && object["apiVersion"] != kind.api_versions()[0];
    let paths = match kind {
        Kind::Service => ignored::<core::Service>(object),
        Kind::EndpointSlice => ignored::<discovery::EndpointSlice>(object),
        Kind::Node => ignored::<core::Node>(object),
        Kind::Ingress if is_legacy => ignored::<legacy::Ingress>(object),
        Kind::Ingress => ignored::<networking::Ingress>(object),
        // The type insists on its apiVersion; the older one has the same fields.
        Kind::IngressClass => ignored::<networking::IngressClass>(&without_version(object)),
        // Decoded as values of any shape: what a Secret holds is its owner's.
        Kind::Secret => unknown_at_top(object, fields::<core::Secret>()),
    };
    let structs = if is_legacy { legacy_structs() } else { structs(kind) };
    let hint = |field: &str| match kind {
        Kind::Ingress => renamed(field, is_legacy).unwrap_or_else(|| hint(&structs, field)),
        _ => hint(&structs, field),
    };
    paths.into_iter().map(|field| UnknownField { hint: hint(&field), field }).collect()
}

fn without_version(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(fields) = object.as_object_mut() {
        fields.remove("apiVersion");
    }
    object
}

fn unknown_at_top(object: &Value, known: Fields) -> Vec<String> {
    let names = object.as_object().into_iter().flat_map(|object| object.keys());
    names.filter(|name| !known.contains(&name.as_str())).cloned().collect()
}

/// What the other versions of Ingress call otherwise.
fn renamed(field: &str, is_legacy: bool) -> Option<String> {
    let newest = Kind::Ingress.api_versions()[0];
    let hint = match (is_legacy, field.rsplit_once('.')?) {
        (false, ("spec", "backend")) => format!("{newest} calls it defaultBackend"),
        (false, (_, "serviceName")) => format!("{newest} calls it service.name"),
        (false, (_, "servicePort")) => format!("{newest} calls it service.port.number, or service.port.name"),
        (true, ("spec", "defaultBackend")) => format!("only {newest} calls it that, here it is backend"),
        (true, (parent, "service")) if parent.ends_with("ackend") => {
            format!("only {newest} calls it that, here it is serviceName and servicePort")
        }
        _ => return None,
    };
    Some(format!("; {hint}"))
}

fn ignored<T: DeserializeOwned>(object: &Value) -> Vec<String> {
    let mut paths = Vec::new();
    match serde_ignored::deserialize::<_, _, T>(object, |path| paths.push(written(&path))) {
        Ok(_) => paths,
        Err(_) => Vec::new(),
    }
}

/// A path as kubectl writes it.
fn written(path: &Path<'_>) -> String {
    match path {
        Path::Root => String::new(),
        Path::Seq { parent, index } => format!("{}[{index}]", written(parent)),
        Path::Map { parent, key } => match written(parent) {
            parent if parent.is_empty() => key.clone(),
            parent => format!("{parent}.{key}"),
        },
        Path::Some { parent } | Path::NewtypeStruct { parent } | Path::NewtypeVariant { parent } => {
            written(parent)
        }
    }
}

fn hint(structs: &[(&'static str, Fields)], field: &str) -> String {
    let (parent, name) = field.rsplit_once('.').unwrap_or(("", field));
    let parent = without_indices(parent);
    let siblings = structs.iter().filter(|(path, _)| *path == parent).flat_map(|(_, fields)| fields.iter());
    let nearest = siblings.map(|sibling| (distance(name, sibling), sibling)).min();
    if let Some((_, sibling)) = nearest.filter(|(distance, sibling)| *distance <= sibling.len() / 3) {
        return format!("; did you mean {sibling}?");
    }
    match structs.iter().find(|(_, fields)| fields.contains(&name)) {
        Some(("", _)) => format!("; {name} belongs to the object itself"),
        Some((path, _)) => format!("; {name} belongs into {path}"),
        None => String::new(),
    }
}

/// Letter case is the most common slip and no distance.
fn distance(a: &str, b: &str) -> usize {
    strsim::damerau_levenshtein(&a.to_lowercase(), &b.to_lowercase())
}

fn without_indices(path: &str) -> String {
    let mut plain = String::new();
    let mut inside = false;
    for c in path.chars() {
        inside = c == '[' || inside && c != ']';
        if !inside || c == '[' {
            plain.push(c);
        }
    }
    plain
}

type Fields = &'static [&'static str];

/// The structs of a kind that people write by hand, by path.
fn structs(kind: Kind) -> Vec<(&'static str, Fields)> {
    let mut structs = match kind {
        Kind::Service => vec![
            ("", fields::<core::Service>()),
            ("spec", fields::<core::ServiceSpec>()),
            ("spec.ports[]", fields::<core::ServicePort>()),
            ("status", fields::<core::ServiceStatus>()),
            ("status.loadBalancer", fields::<core::LoadBalancerStatus>()),
            ("status.loadBalancer.ingress[]", fields::<core::LoadBalancerIngress>()),
        ],
        Kind::EndpointSlice => vec![
            ("", fields::<discovery::EndpointSlice>()),
            ("ports[]", fields::<discovery::EndpointPort>()),
            ("endpoints[]", fields::<discovery::Endpoint>()),
            ("endpoints[].conditions", fields::<discovery::EndpointConditions>()),
        ],
        Kind::Node => vec![
            ("", fields::<core::Node>()),
            ("spec", fields::<core::NodeSpec>()),
            ("status", fields::<core::NodeStatus>()),
            ("status.addresses[]", fields::<core::NodeAddress>()),
        ],
        Kind::Ingress => vec![
            ("", fields::<networking::Ingress>()),
            ("spec", fields::<networking::IngressSpec>()),
            ("spec.defaultBackend", fields::<networking::IngressBackend>()),
            ("spec.defaultBackend.service", fields::<networking::IngressServiceBackend>()),
            ("spec.defaultBackend.service.port", fields::<networking::ServiceBackendPort>()),
            ("spec.tls[]", fields::<networking::IngressTLS>()),
            ("spec.rules[]", fields::<networking::IngressRule>()),
            ("spec.rules[].http", fields::<networking::HTTPIngressRuleValue>()),
            ("spec.rules[].http.paths[]", fields::<networking::HTTPIngressPath>()),
            ("spec.rules[].http.paths[].backend", fields::<networking::IngressBackend>()),
            ("spec.rules[].http.paths[].backend.service", fields::<networking::IngressServiceBackend>()),
            ("spec.rules[].http.paths[].backend.service.port", fields::<networking::ServiceBackendPort>()),
        ],
        Kind::IngressClass => vec![
            ("", fields::<networking::IngressClass>()),
            ("spec", fields::<networking::IngressClassSpec>()),
        ],
        Kind::Secret => vec![("", fields::<core::Secret>())],
    };
    structs.push(("metadata", fields::<ObjectMeta>()));
    structs
}

/// Ingress of the versions before networking.k8s.io/v1.
fn legacy_structs() -> Vec<(&'static str, Fields)> {
    vec![
        ("", fields::<legacy::Ingress>()),
        ("metadata", fields::<ObjectMeta>()),
        ("spec", fields::<legacy::IngressSpec>()),
        ("spec.backend", fields::<legacy::IngressBackend>()),
        ("spec.tls[]", fields::<networking::IngressTLS>()),
        ("spec.rules[]", fields::<legacy::IngressRule>()),
        ("spec.rules[].http", fields::<legacy::HttpIngressRuleValue>()),
        ("spec.rules[].http.paths[]", fields::<legacy::HttpIngressPath>()),
        ("spec.rules[].http.paths[].backend", fields::<legacy::IngressBackend>()),
    ]
}

/// The fields that a struct asks its deserializer for.
fn fields<T: DeserializeOwned>() -> Fields {
    match T::deserialize(FieldNames) {
        Err(Names(names)) => names,
        Ok(_) => &[],
    }
}

/// Answers a struct's request with its own field names, as the error.
struct FieldNames;

#[derive(Debug)]
struct Names(Fields);

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(", "))
    }
}

impl std::error::Error for Names {}

impl de::Error for Names {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self(&[])
    }
}

impl<'de> Deserializer<'de> for FieldNames {
    type Error = Names;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Names> {
        Err(Names(&[]))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        names: Fields,
        _: V,
    ) -> Result<V::Value, Names> {
        Err(Names(names))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}
