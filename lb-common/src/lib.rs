//! What the kernel programs and user space must agree on.
//!
//! Everything here is `no_std`, free of I/O and of a clock, and is compiled twice: into the BPF object and into
//! the agent and its tests, so the code that the host tests exercise is the code that the kernel runs.
//!
//! Byte order: a field or argument whose name ends in `_be` holds network byte order as it stands in the packet;
//! every other integer is in the host's order. Times are [ticks](time::Tick).
#![cfg_attr(not(any(feature = "std", test)), no_std)]
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed assumption is a failed test")
)]

pub mod abi;
pub mod address;
pub mod affinity;
pub mod backend;
pub mod checksum;
mod counters;
pub mod drop_reason;
pub mod filter;
pub mod flow;
pub mod fragment;
pub mod hash;
#[cfg(feature = "host")]
pub mod host;
pub mod interface;
pub mod limit;
pub mod maglev;
pub mod monitor;
pub mod name;
pub mod packet;
pub mod pipeline;
#[cfg(feature = "user")]
mod pod;
pub mod refusal;
pub mod ring;
pub mod runtime;
pub mod sctp;
pub mod service;
pub mod snat;
pub mod source_range;
pub mod stat;
pub mod tcp;
pub mod time;
pub mod trace;
pub mod workspace;
