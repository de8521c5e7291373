//! What the command line decides.

use lb_model::object::ObjectKey;

/// What the command line decides about all Ingresses.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `--ingress-class`: the class that needs no IngressClass.
    pub ingress_class: String,
    /// Whether Ingresses without a class are served as long as there is no IngressClass at all. For folders of
    /// manifests, where nobody else could serve them; in a cluster another controller may.
    pub serve_unclassed: bool,
    /// `--default-backend`: who answers what matches no Ingress; 404 without.
    pub default_backend: Option<DefaultBackend>,
    /// `--default-certificate`: the Secret for server names without a certificate.
    pub default_certificate: Option<ObjectKey>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            ingress_class: "sluice".to_owned(),
            serve_unclassed: false,
            default_backend: None,
            default_certificate: None,
        }
    }
}

/// A port of a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DefaultBackend {
    /// The Service.
    pub service: ObjectKey,
    /// Its port; none for the first.
    pub port: Option<lb_model::ingress::BackendPort>,
}
