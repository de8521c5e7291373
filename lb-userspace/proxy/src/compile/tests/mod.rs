//! Whole snapshots, and what requests find in what they compile to.

mod backends;
pub(crate) mod cluster;
mod default_backends;
mod hosts;
mod paths;
mod seeds;
