//! What an Ingress leads to, with the fields that say so.

use lb_model::{
    ingress::BackendPort,
    object::{Service, ServicePort},
};
use lb_sources::translate::{Object, Outcome, Translation};
use serde_json::Value;

/// Something that an Ingress needs, by its name in the Ingress' namespace.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    /// The field that names it.
    pub(super) field: String,
    /// What it is.
    pub(super) what: Need,
}

/// What an Ingress needs.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// A port of a Service.
    Port { service: String, port: BackendPort },
    /// A Secret with a certificate.
    Secret(String),
}

/// All that a served Ingress needs. The model has lost the places of what it holds, so the manifest is asked.
pub(super) fn wanted(translation: &Translation, value: &Value) -> Vec<Wanted> {
    if !matches!(translation.outcome, Outcome::Served(Object::Ingress(_))) {
        return Vec::new();
    }
    let spec = &value["spec"];
    let mut wanted = Vec::new();
    let defaults = ["defaultBackend", "backend"];
    wanted.extend(defaults.iter().filter_map(|name| port(format!("spec.{name}"), &spec[name])));
    for (i, rule) in items(&spec["rules"]) {
        for (n, path) in items(&rule["http"]["paths"]) {
            wanted.extend(port(format!("spec.rules[{i}].http.paths[{n}].backend"), &path["backend"]));
        }
    }
    for (i, entry) in items(&spec["tls"]) {
        let name = entry["secretName"].as_str().filter(|name| !name.is_empty());
        wanted.extend(name.map(|name| Wanted {
            field: format!("spec.tls[{i}].secretName"),
            what: Need::Secret(name.to_owned()),
        }));
    }
    wanted
}

fn items(list: &Value) -> impl Iterator<Item = (usize, &Value)> {
    list.as_array().into_iter().flatten().enumerate()
}

fn port(field: String, backend: &Value) -> Option<Wanted> {
    let (service, name, number) = match backend["service"]["name"].as_str() {
        Some(service) => {
            (service, &backend["service"]["port"]["name"], &backend["service"]["port"]["number"])
        }
        None => (backend["serviceName"].as_str()?, &backend["servicePort"], &backend["servicePort"]),
    };
    let digits = number.as_u64().or_else(|| number.as_str()?.parse().ok());
    let port = match (digits, name.as_str()) {
        (Some(number), _) => BackendPort::Number(number.try_into().ok()?),
        (None, name) => BackendPort::Name(name?.to_owned()),
    };
    Some(Wanted { field, what: Need::Port { service: service.to_owned(), port } })
}

/// What is wrong with a port of a Service, if anything.
pub(super) fn lacks(service: &Service, name: &str, port: &BackendPort) -> Option<String> {
    let is_meant = |known: &ServicePort| match port {
        BackendPort::Number(number) => known.port == *number,
        BackendPort::Name(name) => known.name == *name,
    };
    if service.ports.iter().any(is_meant) {
        return None;
    }
    let known: Vec<_> = service
        .ports
        .iter()
        .map(|port| match port.name.as_str() {
            "" => port.port.to_string(),
            name => format!("{} ({name})", port.port),
        })
        .collect();
    Some(format!("Service {name} has no port {port}; it has {}", known.join(", ")))
}
