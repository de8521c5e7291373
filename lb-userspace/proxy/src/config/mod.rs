//! All that a request needs to know, compiled from one snapshot, immutable and swapped as a whole.

mod policy;
mod route;
mod upstream;

use std::{collections::BTreeMap, sync::Arc};

use lb_model::object::Refusal;

pub use self::{
    policy::{
        AccessList, CookieAffinity, Cors, Limits, NextUpstream, Policy, Retry, SameSite, Timeouts,
        TlsRedirect,
    },
    route::{Action, Redirect, Route},
    upstream::{Balance, Endpoint, HashKey, Upstream, UpstreamKey, UpstreamProtocol},
};

/// What the proxy serves.
#[derive(Debug, Default)]
pub struct Config {
    /// Counts the configurations that were served since the start.
    pub generation: u64,
    /// Every upstream that a route leads to; connections to others are closed.
    pub upstreams: BTreeMap<UpstreamKey, Arc<Upstream>>,
    /// What was asked for and is not served.
    pub refusals: Vec<Refusal>,
    /// `notAfter` of every certificate in use, seconds since the epoch, by the name of its Secret.
    pub expiries: BTreeMap<String, i64>,
}
