//! The kernel's side as user space sees it: pins, maps, programs, devices.

pub mod pin;
pub mod pinned;
