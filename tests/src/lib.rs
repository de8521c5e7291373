//! The harness: network namespaces, small networks in them, packets, traffic.

pub mod prog;
