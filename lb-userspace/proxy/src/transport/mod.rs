//! Connections as both sides of the proxy use them: plain or TLS, with a deadline for writes that make no progress.

mod gathered;
mod lazy_timer;
mod stream;
mod watched;

pub(crate) use self::{
    gathered::{Flusher, Gathered, gathered},
    lazy_timer::LazyTimer,
    stream::{Prefixed, Stream},
    watched::{Received, Watched},
};
