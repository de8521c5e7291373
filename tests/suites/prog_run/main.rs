//! The kernel programs, packet by packet: in through `test_run`, out with verdict, bytes and flow state.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed assumption is a failed test")]

mod answers;
mod flows;
mod passing;
mod setup;
mod snat;
mod translation;
mod verifier;
