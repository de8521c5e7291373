//! sluice-ingress: what Kubernetes Ingress asks for, served over HTTP.
//!
//! ```text
//! source ──► Snapshot ──► compile ──► Config ──► (swapped whole) ──► a request finds its Route
//! ```

pub mod compile;
pub mod config;
pub mod dump;
pub mod status;
