//! All that a request needs to know, compiled from one snapshot, immutable and swapped as a whole.

mod certificates;
mod path_tree;
mod pattern;
mod policy;
mod redirect;
mod rewrite;
mod route;
mod routes;
mod upstream;

use std::{collections::BTreeMap, sync::Arc};

use lb_model::object::Refusal;

pub use self::{
    certificates::{Certificate, Certificates, Validity},
    pattern::{Pattern, PatternError},
    policy::{
        AccessList, CookieAffinity, Cors, Limits, NextUpstream, Policy, Retry, SameSite, Timeouts,
        TlsRedirect,
    },
    redirect::{Location, LocationError, Redirect, RedirectTo},
    rewrite::{Captures, Piece, Rewrite, TemplateError},
    route::{Action, Route},
    routes::{Match, Routes},
    upstream::{Balance, Endpoint, HashKey, Upstream, UpstreamKey, UpstreamProtocol},
};

/// What the proxy serves.
#[derive(Debug, Default)]
pub struct Config {
    /// Counts the configurations that were served since the start; set by who swaps them.
    pub generation: u64,
    /// Which host and path leads where.
    pub routes: Routes,
    /// Which certificate a server name gets.
    pub certificates: Certificates,
    /// Every upstream that a route leads to; connections to others are closed.
    pub upstreams: BTreeMap<UpstreamKey, Arc<Upstream>>,
    /// What was asked for and is not served.
    pub refusals: Vec<Refusal>,
    /// When each certificate in use is valid, by the name of its Secret.
    pub validities: BTreeMap<String, Validity>,
}
