//! What needs a machine of its own, which `cargo xtask test kernels` boots: an old kernel, network cards, a clock that
//! may be set.

#![allow(clippy::unwrap_used, reason = "a failed assumption is a failed test")]

mod clock;
mod old_kernel;
mod virtio_net;
