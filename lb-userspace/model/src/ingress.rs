//! The parts of Kubernetes objects that decide what becomes of an HTTP request.
//!
//! Three API versions of Ingress become one: `networking.k8s.io/v1`, `networking.k8s.io/v1beta1` and
//! `extensions/v1beta1`.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

/// The API version that an Ingress was written in. It decides what the annotation `rewrite-target` means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum IngressVersion {
    /// `networking.k8s.io/v1`.
    #[default]
    NetworkingV1,
    /// `networking.k8s.io/v1beta1`.
    NetworkingV1beta1,
    /// `extensions/v1beta1`.
    ExtensionsV1beta1,
}

/// An Ingress.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ingress {
    /// `metadata.creationTimestamp` in seconds since the epoch; 0 where the manifest has none. The oldest Ingress wins
    /// where several say the same host and path.
    pub created: i64,
    /// The API version of the manifest.
    pub version: IngressVersion,
    /// `metadata.annotations`, all of them.
    pub annotations: BTreeMap<String, String>,
    /// `spec.ingressClassName`.
    pub class: Option<String>,
    /// `spec.defaultBackend` (`spec.backend` in v1beta1).
    pub default_backend: Option<IngressBackend>,
    /// `spec.tls`.
    pub tls: Vec<IngressTls>,
    /// `spec.rules`.
    pub rules: Vec<IngressRule>,
    /// `status.loadBalancer.ingress`, addresses and host names, in order.
    pub published: Vec<String>,
}

/// An entry of `spec.rules`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IngressRule {
    /// `host` in lower case: a name, or `*.` and a name. None for every host.
    pub host: Option<String>,
    /// `http.paths`; empty sends every path to the default backend.
    pub paths: Vec<IngressPath>,
}

/// An entry of `http.paths`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IngressPath {
    /// `path`; `/` where there is none.
    pub path: String,
    /// `pathType`; ImplementationSpecific where there is none.
    pub path_type: PathType,
    /// `backend`.
    pub backend: IngressBackend,
}

/// `pathType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum PathType {
    /// The path itself, and nothing else.
    Exact,
    /// The path and what is below it, element by element.
    Prefix,
    /// As Prefix here, unless the Ingress asks for regular expressions.
    ImplementationSpecific,
}

/// Where requests go.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum IngressBackend {
    /// A port of a Service in the Ingress' namespace.
    Service {
        /// `service.name`.
        name: String,
        /// `service.port`.
        port: BackendPort,
    },
    /// `resource`: an object of another kind, which Sluice refuses.
    Resource {
        /// `resource.kind`.
        kind: String,
        /// `resource.name`.
        name: String,
    },
}

/// A port of a Service, by one of its two names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum BackendPort {
    /// `number`.
    Number(u16),
    /// `name`.
    Name(String),
}

impl fmt::Display for BackendPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// An entry of `spec.tls`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IngressTls {
    /// `hosts` in lower case.
    pub hosts: Vec<String>,
    /// `secretName`; none asks for the controller's default certificate.
    pub secret: Option<String>,
}

/// An IngressClass.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IngressClass {
    /// `spec.controller`.
    pub controller: String,
    /// The annotation `ingressclass.kubernetes.io/is-default-class`.
    pub is_default: bool,
}

/// A Secret of type `kubernetes.io/tls`, as far as it can be read; what is in it is judged where it is used.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct TlsSecret {
    /// `data["tls.crt"]`: a chain of PEM certificates, the leaf first.
    pub certificate: Vec<u8>,
    /// `data["tls.key"]`: a PEM private key.
    pub key: Vec<u8>,
}

/// Never shows the key.
impl fmt::Debug for TlsSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsSecret").field("certificate", &self.certificate.len()).finish_non_exhaustive()
    }
}
