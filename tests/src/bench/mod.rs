//! Benchmarks: what a packet costs, beside a floor measured in the same run, and what a change in the cluster costs.

pub mod control;
pub mod path;
pub mod program;
pub mod report;
