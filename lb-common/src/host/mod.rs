//! The packet path on the host: the pipeline with maps that are ordered maps, routes that a test wrote down, and time
//! that stands where the test put it. It is what the kernel programs are held against (`tests/suites/model`).
//!
//! What the kernel's hooks do to bytes is written here a second time and another way: checksums follow from the bytes
//! that changed and not from a flow's deltas, CRC32c is computed over the whole packet.

mod frame;
mod hook;
mod program;
mod tables;

pub use hook::{Egress, Host, Ingress, Place, Xdp};
pub use program::{Outcome, tcx_egress, tcx_ingress, verdict, xdp};
pub use tables::{Destination, Family, FamilyTables, Tables, ring_chunks};
