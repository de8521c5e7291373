//! Benchmarks: what a packet costs, beside a floor measured in the same run, what a change in the cluster costs, and
//! what a request costs, beside other proxies.

pub mod control;
pub mod ingress;
pub mod path;
mod process;
pub mod program;
pub mod report;
