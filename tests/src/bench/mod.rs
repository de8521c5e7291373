//! Benchmarks: what a packet costs, beside a floor measured in the same run.

pub mod path;
pub mod program;
pub mod report;
