//! Sluice's agent and command line: the kernel's maps and programs, the loop that fills them, and the commands that look
//! at them.

pub mod agent;
pub mod cli;
pub mod dataplane;
