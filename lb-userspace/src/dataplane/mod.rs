//! The kernel's side as user space sees it: pins, maps, programs, devices.

pub mod attach;
pub mod cleanup;
pub mod clock;
pub mod device;
pub mod ethtool;
pub mod inherit;
pub mod loader;
pub mod lock;
pub mod maps;
pub mod monitor;
pub mod neighbour;
pub mod netlink;
pub mod pin;
pub mod pinned;
pub mod pins;
pub mod ports;
pub mod routes;
pub mod spec;
pub mod sys;
pub mod usage;
pub mod vlan;
