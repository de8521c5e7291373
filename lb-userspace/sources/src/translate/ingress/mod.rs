//! Ingress, of three API versions.
//!
//! What is checked is what the API server checks (kubernetes `pkg/apis/networking/validation/validation.go`), since
//! manifests in a folder have not passed it. Two things are taken that it would refuse, as nothing else can be meant: a
//! host in capitals and a path without a type.

mod backend;
pub mod legacy;
mod rule;
mod tls;

use k8s_openapi::api::networking::v1 as networking;
use lb_model::ingress::{Ingress, IngressVersion};
use serde_json::Value;

use self::backend::Names;
use super::{
    check_name, created, decode,
    field::{self, Finding, keep, reason},
};

/// The type of a path that has none in `v1beta1` (`SetDefaults_HTTPIngressPath`).
const IMPLEMENTATION_SPECIFIC: &str = "ImplementationSpecific";

/// The Ingress, without the entries that `findings` name.
pub(super) fn translate(object: &Value, findings: &mut Vec<Finding>) -> Result<Ingress, Finding> {
    let version = version(object);
    let object: networking::Ingress = match version {
        IngressVersion::NetworkingV1 => decode(object)?,
        IngressVersion::NetworkingV1beta1 | IngressVersion::ExtensionsV1beta1 => {
            decode::<legacy::Ingress>(object)?.into()
        }
    };
    check_name(&object.metadata)?;
    let spec = object.spec.unwrap_or_default();
    if let Some(class) = &spec.ingress_class_name {
        field::check_subdomain("spec.ingressClassName", class)?;
    }
    let names = Names::of(version);
    let asked = spec.rules.unwrap_or_default();
    if asked.is_empty() && spec.default_backend.is_none() {
        let message = format!("neither rules nor {}; say where requests go", names.default_backend);
        return Err(Finding::new("spec", reason::MISSING_VALUE, message));
    }
    let default_backend = spec.default_backend.and_then(|backend| {
        keep(backend::translate(&format!("spec.{}", names.default_backend), backend, names), findings)
    });
    let rules: Vec<_> = asked
        .into_iter()
        .enumerate()
        .filter_map(|(i, entry)| rule::translate(&format!("spec.rules[{i}]"), entry, names, findings))
        .collect();
    if rules.is_empty()
        && default_backend.is_none()
        && let Some(finding) = findings.pop()
    {
        return Err(finding);
    }
    Ok(Ingress {
        created: created(&object.metadata),
        version,
        annotations: object.metadata.annotations.unwrap_or_default(),
        class: spec.ingress_class_name,
        default_backend,
        tls: tls::translate(spec.tls.unwrap_or_default(), findings),
        rules,
        published: published(object.status),
    })
}

/// The version that the object says; items of a list say none, and lists are of the newest.
fn version(object: &Value) -> IngressVersion {
    match object["apiVersion"].as_str() {
        Some("extensions/v1beta1") => IngressVersion::ExtensionsV1beta1,
        Some("networking.k8s.io/v1beta1") => IngressVersion::NetworkingV1beta1,
        _ => IngressVersion::NetworkingV1,
    }
}

/// `status.loadBalancer.ingress`.
fn published(status: Option<networking::IngressStatus>) -> Vec<String> {
    let entries = status.and_then(|status| status.load_balancer?.ingress).unwrap_or_default();
    let filled = |text: Option<String>| text.filter(|text| !text.is_empty());
    entries.into_iter().filter_map(|entry| filled(entry.ip).or_else(|| filled(entry.hostname))).collect()
}
