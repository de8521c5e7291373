//! Requests to endpoints: which one, over which connection.
//!
//! Everything here belongs to one thread. What is kept under an [`UpstreamKey`](crate::config::UpstreamKey) outlives
//! configurations: connections, counters, and where the round robin stands.

mod balance;
mod body;
mod connect;
mod endpoint;
mod failure;
mod gate;
mod http1;
mod http2;
mod send;
mod tunnel;
mod upstreams;

pub(crate) use self::{
    body::UpstreamBody,
    connect::Connector,
    endpoint::{Endpoint, InFlight},
    failure::Failure,
    send::{Failed, send},
    tunnel::{Tunnel, tunnel},
    upstreams::{Upstream, Upstreams},
};
