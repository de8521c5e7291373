//! The real proxy behind a real watch: `sluice-ingress` follows an API server that tests change, refuse and take away,
//! and answers clients over real sockets meanwhile.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed assumption is a failed test")]

mod certificates;
mod changes;
mod client;
mod endpoint;
mod events;
mod load;
mod objects;
mod outage;
mod readiness;
mod site;
mod status;
mod trust;
