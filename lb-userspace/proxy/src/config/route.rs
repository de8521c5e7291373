//! Where a request goes.

use std::sync::Arc;

use lb_model::{ingress::PathType, object::ObjectKey};

use super::{Policy, Upstream};

/// One path of one host.
#[derive(Clone, Debug)]
pub struct Route {
    /// The Ingress that asks for it.
    pub ingress: ObjectKey,
    /// `host` of its rule; none for every host.
    pub host: Option<String>,
    /// `path`.
    pub path: String,
    /// `pathType`.
    pub path_type: PathType,
    /// What to do with requests.
    pub action: Action,
    /// What the Ingress' annotations ask for; shared by all its routes.
    pub policy: Arc<Policy>,
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

/// A redirect of every request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// 3xx.
    pub status: u16,
    /// `Location`, for `permanent-redirect` and `temporal-redirect`; none keeps path and query and changes the host.
    pub location: Option<String>,
    /// The other host, for `from-to-www-redirect`.
    pub host: Option<String>,
}
