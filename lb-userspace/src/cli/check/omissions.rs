//! What is legal, and does not do what its author hoped for.

use lb_model::object::ServiceType;
use lb_sources::translate::{Kind, Object, Outcome, Translation, has_service_name};
use serde_json::Value;

/// Fields that should be there, and why.
pub(super) fn find(translation: &Translation, value: &Value) -> Vec<(String, &'static str)> {
    match &translation.outcome {
        Outcome::Served(Object::Service(service)) if service.service_type == ServiceType::NodePort => {
            let ports = items(&value["spec"]["ports"]);
            ports
                .filter(|(_, port)| port["nodePort"].as_u64().unwrap_or_default() == 0)
                .map(|(i, _)| {
                    let message = "no nodePort; an API server allocates one, a folder of manifests does not";
                    (format!("spec.ports[{i}]"), message)
                })
                .collect()
        }
        Outcome::Served(Object::Ingress(_)) if value["apiVersion"] == Kind::Ingress.api_versions()[0] => {
            let rules = items(&value["spec"]["rules"]);
            let paths = rules.flat_map(|(i, rule)| {
                items(&rule["http"]["paths"])
                    .map(move |(n, path)| (format!("spec.rules[{i}].http.paths[{n}]"), path))
            });
            paths
                .filter(|(_, path)| path["pathType"].is_null())
                .map(|(field, _)| (field, "no pathType; an API server refuses that; write Prefix, or Exact"))
                .collect()
        }
        Outcome::Skipped if translation.kind == Kind::EndpointSlice && !has_service_name(value) => {
            let message = "no kubernetes.io/service-name; name the Service that the slice belongs to";
            vec![("metadata.labels".to_owned(), message)]
        }
        _ => Vec::new(),
    }
}

fn items(list: &Value) -> impl Iterator<Item = (usize, &Value)> {
    list.as_array().into_iter().flatten().enumerate()
}
