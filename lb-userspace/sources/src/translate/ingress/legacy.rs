//! Ingress as `extensions/v1beta1` and `networking.k8s.io/v1beta1` have it, and its conversion to
//! `networking.k8s.io/v1`, which is the API server's own (kubernetes `pkg/apis/networking/v1beta1/conversion.go`).

use k8s_openapi::{
    api::{core::v1::TypedLocalObjectReference, networking::v1 as networking},
    apimachinery::pkg::{apis::meta::v1::ObjectMeta, util::intstr::IntOrString},
};
use serde::Deserialize;

use super::IMPLEMENTATION_SPECIFIC;

/// Ingress.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[allow(dead_code, reason = "the first two fields are known, and read before")]
pub struct Ingress {
    api_version: Option<String>,
    kind: Option<String>,
    metadata: ObjectMeta,
    spec: Option<IngressSpec>,
    status: Option<networking::IngressStatus>,
}

/// `spec`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct IngressSpec {
    backend: Option<IngressBackend>,
    ingress_class_name: Option<String>,
    rules: Option<Vec<IngressRule>>,
    tls: Option<Vec<networking::IngressTLS>>,
}

/// `spec.rules[]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct IngressRule {
    host: Option<String>,
    http: Option<HttpIngressRuleValue>,
}

/// `spec.rules[].http`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpIngressRuleValue {
    paths: Option<Vec<HttpIngressPath>>,
}

/// `spec.rules[].http.paths[]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpIngressPath {
    path: Option<String>,
    path_type: Option<String>,
    backend: Option<IngressBackend>,
}

/// `spec.backend` and `spec.rules[].http.paths[].backend`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct IngressBackend {
    service_name: Option<String>,
    service_port: Option<IntOrString>,
    resource: Option<TypedLocalObjectReference>,
}

impl From<Ingress> for networking::Ingress {
    fn from(object: Ingress) -> Self {
        let Ingress { metadata, spec, status, .. } = object;
        Self { metadata, spec: spec.map(Into::into), status }
    }
}

impl From<IngressSpec> for networking::IngressSpec {
    fn from(spec: IngressSpec) -> Self {
        Self {
            default_backend: spec.backend.map(Into::into),
            ingress_class_name: spec.ingress_class_name,
            rules: spec.rules.map(|rules| rules.into_iter().map(Into::into).collect()),
            tls: spec.tls,
        }
    }
}

impl From<IngressRule> for networking::IngressRule {
    fn from(rule: IngressRule) -> Self {
        let paths = |http: HttpIngressRuleValue| http.paths.unwrap_or_default().into_iter().map(Into::into);
        Self {
            host: rule.host,
            http: rule.http.map(|http| networking::HTTPIngressRuleValue { paths: paths(http).collect() }),
        }
    }
}

impl From<HttpIngressPath> for networking::HTTPIngressPath {
    fn from(path: HttpIngressPath) -> Self {
        Self {
            path: path.path,
            path_type: path.path_type.unwrap_or_else(|| IMPLEMENTATION_SPECIFIC.to_owned()),
            backend: path.backend.map(Into::into).unwrap_or_default(),
        }
    }
}

impl From<IngressBackend> for networking::IngressBackend {
    fn from(backend: IngressBackend) -> Self {
        let IngressBackend { service_name, service_port, resource } = backend;
        let service =
            (service_name.is_some() || service_port.is_some()).then(|| networking::IngressServiceBackend {
                name: service_name.unwrap_or_default(),
                port: service_port.map(port),
            });
        Self { resource, service }
    }
}

/// A number in quotes is a number: templates often write one, and no port has a name of digits alone.
fn port(port: IntOrString) -> networking::ServiceBackendPort {
    let (name, number) = match port {
        IntOrString::Int(number) => (None, Some(number)),
        IntOrString::String(text) => match text.parse() {
            Ok(number) => (None, Some(number)),
            Err(_) => (Some(text), None),
        },
    };
    networking::ServiceBackendPort { name, number }
}
