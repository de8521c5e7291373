//! sluice-ingress: what Kubernetes Ingress asks for, served over HTTP.
//!
//! ```text
//! source ──► Snapshot ──► compile ──► Config ──► (swapped whole) ──► a request finds its Route
//! ```

mod body;
pub mod compile;
pub mod config;
mod drain;
pub mod dump;
mod error;
mod follow;
mod observe;
mod options;
mod run;
mod serve;
pub mod status;
mod transport;
mod upstream;

pub use self::{error::Error, options::Options, run::main};
