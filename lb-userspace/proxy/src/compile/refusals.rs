//! What was asked for and is not served, or served otherwise.

use lb_model::object::{ObjectKey, Refusal};

/// Reasons as Events and metrics spell them; those about annotations are in `annotation/reader.rs`.
pub mod reason {
    /// A Service that is not there.
    pub const SERVICE_NOT_FOUND: &str = "ServiceNotFound";
    /// A port that the Service does not have.
    pub const PORT_NOT_FOUND: &str = "PortNotFound";
    /// A backend that is no Service.
    pub const RESOURCE_BACKEND: &str = "ResourceBackend";
    /// A path that no request has.
    pub const INVALID_PATH: &str = "InvalidPath";
    /// A regular expression that cannot be used.
    pub const INVALID_PATTERN: &str = "InvalidPattern";
    /// A host and path that an older Ingress has.
    pub const PATH_CONFLICT: &str = "PathConflict";
    /// A default backend where an older Ingress has one.
    pub const DEFAULT_BACKEND_CONFLICT: &str = "DefaultBackendConflict";
    /// A host of an annotation that a rule names.
    pub const HOST_CONFLICT: &str = "HostConflict";
    /// An Ingress with neither rules nor a default backend.
    pub const NO_RULES: &str = "NoRules";
    /// A Secret that is not there.
    pub const SECRET_NOT_FOUND: &str = "SecretNotFound";
    /// A Secret without a certificate and the key to it.
    pub const SECRET_INVALID: &str = "SecretInvalid";
    /// A certificate that is not for a host that it is asked for.
    pub const CERTIFICATE_NAME_MISMATCH: &str = "CertificateNameMismatch";
    /// A host that an older Ingress has another certificate for.
    pub const CERTIFICATE_CONFLICT: &str = "CertificateConflict";
    /// A default certificate that is asked for and not there.
    pub const NO_DEFAULT_CERTIFICATE: &str = "NoDefaultCertificate";

    /// True for a reason about an annotation with which its Ingress is served all the same.
    pub fn is_advice(reason: &str) -> bool {
        crate::compile::annotation::ADVICE.contains(&reason)
    }
}

/// Refusals as they are found.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    all: Vec<Refusal>,
}

impl Refusals {
    /// A refusal about an Ingress.
    pub(super) fn ingress(&mut self, ingress: &ObjectKey, reason: &str, message: String) {
        self.add("Ingress", ingress, reason, message);
    }

    /// A refusal about an object of any kind.
    pub(super) fn add(&mut self, kind: &str, object: &ObjectKey, reason: &str, message: String) {
        let (kind, reason) = (kind.to_owned(), reason.to_owned());
        self.all.push(Refusal { kind, object: object.clone(), reason, message });
    }

    /// Each once, in order.
    pub(super) fn into_sorted(mut self) -> Vec<Refusal> {
        self.all.sort_unstable();
        self.all.dedup();
        self.all
    }
}
