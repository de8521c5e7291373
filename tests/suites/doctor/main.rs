//! `sluice doctor` on real nodes with real faults: each is made, named with its mend, and gone once that is applied.
#![allow(clippy::unwrap_used, reason = "a failed assumption is a failed test")]

mod data_plane;
mod devices;
mod diagnosis;
mod node;
mod reach;
