//! What the annotations of an Ingress ask for. [`lb_model::annotation`] has the table of those that are known.

mod access;
mod affinity;
mod cors;
mod endpoint;
mod error_page;
mod host;
mod limit;
mod path;
mod reader;
mod redirect;
mod retry;
#[cfg(test)]
mod tests;
mod value;

use std::sync::Arc;

use lb_model::ingress::Ingress;

pub(super) use self::{
    endpoint::How,
    reader::{ADVICE, Finding, Reader},
};
use crate::config::{Policy, Redirect, Rewrite};

/// What the annotations of an Ingress ask for.
#[derive(Clone, Debug, Default)]
pub(super) struct Annotations {
    /// What is done with each request.
    pub(super) policy: Arc<Policy>,
    /// How endpoints are spoken to and chosen.
    pub(super) how: How,
    /// Where every request is redirected to.
    pub(super) redirect: Option<Redirect>,
    /// True where paths are regular expressions.
    pub(super) use_regex: bool,
    /// What endpoints see of the path.
    pub(super) rewrite: Option<Arc<Rewrite>>,
    /// More hosts for its rules.
    pub(super) aliases: Vec<String>,
    /// True where `www.` before its hosts, or its hosts without it, lead to them.
    pub(super) from_to_www: bool,
    /// The Service that answers in the stead of others.
    pub(super) default_backend: Option<String>,
    /// Why all paths answer 503.
    pub(super) unavailable: Option<Arc<str>>,
    /// True where the Ingress is not served at all.
    pub(super) left_out: bool,
}

/// Reads the annotations of an Ingress, and says what is done otherwise than they ask.
pub(super) fn read(ingress: &Ingress) -> (Annotations, Vec<Finding>) {
    let mut reader = Reader::new(&ingress.annotations);
    if reader.is_empty() {
        return (Annotations::default(), reader.findings);
    }
    let mut policy = policy(&mut reader);
    let default_backend = error_page::service(&mut reader);
    let path::Paths { use_regex, rewrite } = path::read(&mut reader, ingress.version);
    let how = endpoint::how(&mut reader);
    let redirect = redirect::everything(&mut reader);
    let aliases = host::aliases(&mut reader);
    let from_to_www = reader.is_set("from-to-www-redirect");
    let findings = reader.findings;
    let unavailable = findings.iter().find(|finding| finding.makes_unavailable());
    if unavailable.is_some() {
        // Whatever would be answered before the path's own answer.
        policy.app_root = None;
        policy.cors = None;
    }
    let annotations = Annotations {
        policy: Arc::new(policy),
        how,
        redirect,
        use_regex,
        rewrite,
        aliases,
        from_to_www,
        default_backend,
        unavailable: unavailable.map(|finding| finding.message.as_str().into()),
        left_out: findings.iter().any(Finding::leaves_out),
    };
    (annotations, findings)
}

fn policy(reader: &mut Reader<'_>) -> Policy {
    let tls = redirect::tls(reader);
    Policy {
        access: access::read(reader),
        tls_redirect: tls.redirect,
        allow_http: tls.allow_http,
        app_root: redirect::app_root(reader),
        body_limit: limit::body(reader),
        timeouts: retry::timeouts(reader),
        upstream_vhost: endpoint::vhost(reader),
        forwarded_prefix: endpoint::forwarded_prefix(reader),
        cors: cors::read(reader),
        limits: limit::clients(reader),
        retry: retry::read(reader),
        affinity: affinity::read(reader),
        access_log: reader.read("enable-access-log", value::boolean).unwrap_or(true),
        custom_errors: error_page::statuses(reader),
    }
}
