//! What the command line decides.

use lb_model::{ingress_class::ClassSelector, object::ObjectKey};

/// What the command line decides about all Ingresses.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Which Ingresses are served.
    pub class: ClassSelector,
    /// `--default-backend`: who answers what matches no Ingress; 404 without.
    pub default_backend: Option<DefaultBackend>,
    /// `--default-certificate`: the Secret for server names without a certificate.
    pub default_certificate: Option<ObjectKey>,
}

/// A port of a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DefaultBackend {
    /// The Service.
    pub service: ObjectKey,
    /// Its port; none for the first.
    pub port: Option<lb_model::ingress::BackendPort>,
}
