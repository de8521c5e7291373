//! The harness: network namespaces, a small network in them, pods, agents, manifests, traffic, and single packets.
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed assumption is a failed test")
)]

pub mod agent;
pub mod api_server;
pub mod bench;
pub mod cluster;
pub mod demo;
pub mod dual_stack;
pub mod eviction;
pub mod flood;
pub mod frame;
pub mod guest;
pub mod icmp;
pub mod ingress;
pub mod lab;
pub mod load;
pub mod manifests;
pub mod model;
pub mod monitoring;
pub mod netns;
pub mod observe;
pub mod packet;
pub mod pattern;
pub mod pod;
pub mod pool;
pub mod prog;
pub mod sctp;
pub mod server;
pub mod skip;
pub mod survival;
pub mod topo;
pub mod traffic;
pub mod unattended;
pub mod wait;
pub mod xdp_pass;

/// Where the BPF file system is mounted.
pub const BPFFS: &str = "/sys/fs/bpf";
