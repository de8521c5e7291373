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
    let reader_ref = &mut reader;
    let (limits, body_limit) = limit::read(reader_ref);
    let (default_backend, custom_errors) = error_page::read(reader_ref);
    let tls = redirect::tls(reader_ref);
    let policy = Policy {
        access: access::read(reader_ref),
        tls_redirect: tls.redirect,
        allow_http: tls.allow_http,
        app_root: redirect::app_root(reader_ref),
        body_limit,
        timeouts: retry::timeouts(reader_ref),
        upstream_vhost: endpoint::vhost(reader_ref),
        forwarded_prefix: endpoint::forwarded_prefix(reader_ref),
        cors: cors::read(reader_ref),
        limits,
        retry: retry::read(reader_ref),
        affinity: affinity::read(reader_ref),
        access_log: reader_ref.read("enable-access-log", value::boolean).unwrap_or(true),
        custom_errors,
    };
    let path::Paths { use_regex, rewrite } = path::read(reader_ref, ingress.version);
    let annotations = Annotations {
        policy: Arc::new(policy),
        how: endpoint::how(reader_ref),
        redirect: redirect::everything(reader_ref),
        use_regex,
        rewrite,
        aliases: host::aliases(reader_ref),
        from_to_www: reader_ref.is_set("from-to-www-redirect"),
        default_backend,
        unavailable: None,
        left_out: false,
    };
    let unavailable = reader.findings.iter().find(|finding| finding.makes_unavailable());
    let annotations = Annotations {
        unavailable: unavailable.map(|finding| finding.message.as_str().into()),
        left_out: reader.findings.iter().any(Finding::leaves_out),
        ..annotations
    };
    (annotations, reader.findings)
}
