//! Sluice's decisions: Kubernetes objects in, map contents out.
//!
//! ```text
//! Snapshot ── desired ──► Desired ── plan (with Tables, what the maps hold) ──► [Op] ── DataPlane ──► maps
//! ```
//!
//! Nothing here touches a kernel, a clock, the network or the environment: the same snapshot gives the same plan,
//! byte for byte.
#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed assumption is a failed test")
)]

pub mod annotation;
pub mod backend_id;
pub mod cidr;
pub mod config;
pub mod desired;
pub mod dump;
pub mod explain;
pub mod faulty;
pub mod ingress;
pub mod ingress_class;
pub mod memory;
pub mod object;
pub mod op;
pub mod persistent_map;
pub mod plan;
pub mod policy;
pub mod refusal;
pub mod ring_ref;
pub mod slots;
pub mod soundness;
mod tables;
