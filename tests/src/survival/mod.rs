//! What happens to packets when something fails: load that is held throughout, faults, and what each may cost.
//! `docs/survival.md` says the same in words.

pub mod fault;
mod faults;
mod load;
mod report;
mod session;
pub mod soak;
mod tally;
mod world;

pub use fault::{Fault, Outcome};
pub use faults::{FAULTS, older_release};
pub use load::Load;
pub use tally::Tally;
pub use world::World;
