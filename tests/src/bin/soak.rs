//! `cargo xtask test --soak`: every fault again and again, under load.

fn main() {}
