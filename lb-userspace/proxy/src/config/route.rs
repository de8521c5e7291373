//! Where a request goes.

use std::sync::Arc;

use lb_model::{ingress::PathType, object::ObjectKey};

use super::{Policy, Redirect, Rewrite, Upstream};

/// One path of one host.
#[derive(Clone, Debug)]
pub struct Route {
    /// The Ingress that asks for it; for the controller's default backend, its Service.
    pub ingress: Arc<ObjectKey>,
    /// `host` of its rule; none for every host.
    pub host: Option<Arc<str>>,
    /// `path`, its characters escaped as they are in requests; empty for a default backend.
    pub path: Box<str>,
    /// `pathType`.
    pub path_type: PathType,
    /// True where `path` is a regular expression.
    pub pattern: bool,
    /// What to do with requests.
    pub action: Action,
    /// What endpoints see of the path; none leaves it as it is.
    pub rewrite: Option<Arc<Rewrite>>,
    /// What the Ingress' annotations ask for; shared by all its routes.
    pub policy: Arc<Policy>,
    /// Who answers where `action` leads to no endpoint, and instead of the endpoints where they answer with one of
    /// [`Policy::custom_errors`]: the annotation `default-backend`, or the controller's default backend.
    pub error_backend: Option<Arc<Upstream>>,
    /// True where the host is in `spec.tls` of the Ingress.
    pub tls: bool,
}

/// What to do with a request.
#[derive(Clone, Debug)]
pub enum Action {
    /// Send it to an endpoint.
    Forward(Arc<Upstream>),
    /// Answer with a redirect.
    Redirect(Redirect),
    /// Answer 503; the reason is for the log, the client does not see it.
    Unavailable(Arc<str>),
}
