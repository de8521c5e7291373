//! `sluice agent`: keeps this node's programs attached and its maps in step with the cluster.
//!
//! ```text
//! sources ─ Snapshot ─┐
//!                     ├─► events ─► reconcile ─ desired, plan ─► maps
//! netlink ─ Change ───┘      └────► network ─ programs on devices, neighbours
//! ```

mod admin;
mod error;
mod events;
mod logging;
mod metrics;
mod network;
pub mod options;
pub(crate) mod preflight;
mod readiness;
mod reconcile;
mod run;

pub use self::{error::AgentError, options::Options, run::main};
