//! Where an Ingress says what the proxy's findings are about.

use lb_sources::translate::{Object, Outcome, Translation};
use serde_json::Value;

/// Words by which a finding names something, and the field that asks for it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Anchor {
    pub(super) words: String,
    pub(super) field: String,
}

/// The anchors of a served Ingress: its annotations, Services and Secrets. The model has lost their places, so the
/// manifest is asked.
pub(super) fn of(translation: &Translation, value: &Value) -> Vec<Anchor> {
    if !matches!(translation.outcome, Outcome::Served(Object::Ingress(_))) {
        return Vec::new();
    }
    let namespace = &translation.key.namespace;
    let service = |field: String, backend: &Value| {
        let name = backend["service"]["name"].as_str().or_else(|| backend["serviceName"].as_str())?;
        Some(Anchor { words: format!("Service {namespace}/{name}"), field })
    };
    let mut anchors = Vec::new();
    for key in value["metadata"]["annotations"].as_object().into_iter().flat_map(|map| map.keys()) {
        let field = format!("metadata.annotations.{key}");
        anchors.push(Anchor { words: format!("annotation {key}"), field });
    }
    let spec = &value["spec"];
    let defaults = ["defaultBackend", "backend"];
    anchors.extend(defaults.iter().filter_map(|name| service(format!("spec.{name}"), &spec[name])));
    for (i, rule) in items(&spec["rules"]) {
        for (n, path) in items(&rule["http"]["paths"]) {
            let field = format!("spec.rules[{i}].http.paths[{n}].backend");
            anchors.extend(service(field, &path["backend"]));
        }
    }
    for (i, entry) in items(&spec["tls"]) {
        let name = entry["secretName"].as_str();
        anchors.extend(name.map(|name| Anchor {
            words: format!("Secret {namespace}/{name}"),
            field: format!("spec.tls[{i}].secretName"),
        }));
    }
    anchors
}

fn items(list: &Value) -> impl Iterator<Item = (usize, &Value)> {
    list.as_array().into_iter().flatten().enumerate()
}
