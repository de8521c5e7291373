//! The harness: network namespaces, small networks in them, packets, traffic.

pub mod bench;
pub mod lab;
pub mod packet;
pub mod prog;
