//! What agent and proxy tell their operators alike: probes, metrics and the log level over HTTP, and systemd.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a failed assumption is a failed test"))]

mod answer;
pub mod limited;
mod log_level;
mod server;
pub mod systemd;

use std::fmt;

pub use self::server::Admin;

/// A program as its operator sees it.
pub trait Program: Send + Sync {
    /// For /readyz: why it cannot be relied on, a line each; empty where it can.
    fn missing(&self) -> Vec<&'static str>;

    /// For /metrics: the text that Prometheus reads, in the OpenMetrics format.
    ///
    /// # Errors
    /// Where what is counted cannot be read.
    fn metrics(&self) -> Result<String, fmt::Error>;
}
