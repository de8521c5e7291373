//! `sluice agent`: keeps this node's programs attached and its maps in step with the cluster.
//!
//! ```text
//! sources ─ Snapshot ─┐
//!                     ├─► events ─► reconcile ─ desired, plan ─► maps
//! netlink ─ Change ───┘      ├────► network ─ programs on devices, neighbours
//!                            └────► health checks, refusals
//! ```

mod admin;
mod error;
mod events;
mod health_check;
mod memory;
mod metrics;
mod network;
pub mod options;
mod policy;
pub(crate) mod preflight;
mod readiness;
mod reconcile;
mod refusals;
mod reminder;
mod run;

pub use self::{error::AgentError, options::Options, run::main};
