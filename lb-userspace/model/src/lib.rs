//! Sluice's decisions: Kubernetes objects in, map contents out.
//!
//! Nothing here touches a kernel, a clock, the network or the environment: the same snapshot gives the same plan,
//! byte for byte.
#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed assumption is a failed test")
)]

pub mod object;
pub mod op;
mod tables;
