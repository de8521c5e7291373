//! The reference model: every step of a sequence goes through the kernel's programs and through the pipeline on the host
//! (`lb_common::host`), and both must agree on verdict, bytes, what a monitor is told and, at the end, on all that packets write into maps.
//!
//! What may differ, and how it is kept from differing:
//! - **Time.** The programs are loaded with a clock that a map feeds (`FED_CLOCK`).
//! - **Per-CPU values.** The thread stays on one CPU ([`Kernel::enter`]).
//! - **Eviction.** Tables are larger than a sequence can fill; halves are evicted by a step of their own.
//! - **Where a redirect leads.** `test_run` says `XDP_REDIRECT` and no more. The next hop's MAC addresses are compared,
//!   and the interface in the flow.
//! - **Frames that are dropped.** Nobody sees them.

mod kernel;
mod read;
mod reference;
mod routes;
mod sequence;
mod shrink;
mod state;
mod step;

pub mod frame;
pub mod generate;

pub use kernel::Kernel;
pub use read::{Read, read};
pub use reference::Reference;
pub use sequence::{Disagreement, Pair, parse, replay, text};
pub use shrink::shrink;
pub use state::State;
pub use step::{Device, Endpoint, Frontend, Hook, Interface, Packet, Step, Tuple};
