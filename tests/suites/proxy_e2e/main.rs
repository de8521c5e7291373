//! sluice-ingress over real sockets: clients and endpoints that send and see every byte.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed assumption is a failed test")]

mod affinity;
mod annotations;
mod balance;
mod client;
mod differential;
mod drain;
mod endpoint;
mod forwarding;
mod guards;
mod http2;
mod limits;
mod log_level;
mod matching;
mod monitoring;
mod policies;
mod proxy_protocol;
mod retries;
mod site;
mod swaps;
mod timeouts;
mod tls;
mod websocket;
