//! The kernel programs, packet by packet: in through `test_run`, out with verdict, bytes and flow state.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed assumption is a failed test")]

mod admission;
mod affinity;
mod answers;
mod dsr;
mod echo;
mod flows;
mod fragments;
mod full_table;
mod hairpin;
mod icmp_errors;
mod ipv6;
mod monitor;
mod node;
mod passing;
mod protocols;
mod sctp;
mod setup;
mod snat;
mod source_ranges;
mod too_big;
mod translation;
mod verifier;
mod vlan;
