//! Clients' side: from an accepted connection to the last byte of a response.
//!
//! ```text
//! listener ─► PROXY protocol ─► TLS ─► HTTP ─► guard ─► route ─► policy ─► attempts at endpoints ─► response
//! ```
//! Every thread does all of it for the connections that the kernel gives it; threads share only the configuration.

mod activity;
mod affinity;
mod answer;
mod attempts;
mod client;
mod connection;
mod cors;
mod custom_error;
mod decide;
mod forward;
mod guard;
mod handler;
mod hash_key;
mod host;
mod limits;
mod listener;
mod path;
mod preamble;
mod proxy_protocol;
mod redirect;
mod retired;
mod route_state;
mod shared;
mod streams;
mod thread;
mod tls;
mod websocket;

pub(crate) use self::{
    activity::UnderWay,
    listener::Address,
    shared::{Settings, Shared},
    thread::Threads,
};
