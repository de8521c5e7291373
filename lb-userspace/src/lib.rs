//! Sluice's agent and command line: sources of Kubernetes objects, the kernel's maps and programs, and the commands
//! that look at them.

pub mod agent;
pub mod cli;
pub mod dataplane;
pub mod sources;
