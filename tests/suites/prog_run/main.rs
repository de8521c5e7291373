//! The kernel programs, packet by packet: in through `test_run`, out with verdict, bytes and flow state.

mod answers;
mod flows;
mod passing;
mod setup;
mod snat;
mod translation;
mod verifier;
