//! What can be seen from outside: metrics, the access log, probes.

mod access_log;
mod admin;
mod counters;
mod metrics;
mod readiness;
mod record;
mod source;

pub(crate) use self::{
    access_log::{AccessLog, Entry, LogWriter},
    admin::Observed,
    counters::{ConnectionCounters, IngressCounters},
    metrics::Metrics,
    readiness::Readiness,
    record::Record,
};
