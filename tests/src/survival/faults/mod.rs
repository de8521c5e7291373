//! Every fault that can be had again and again.

mod agent;
mod api;
mod pins;
mod release;
mod uplink;

use super::Fault;

/// All of them, by subject. What a fault may cost beside nothing is explained in `docs/survival.md`.
pub const FAULTS: [Fault; 16] = [
    Fault::lossless("agent killed and started again", agent::killed),
    Fault::lossless("agent ended by SIGTERM and started again", agent::terminated),
    Fault::lossless("second agent on the same --bpf-dir", agent::second),
    Fault::lossless("second agent with another --bpf-dir", agent::second_elsewhere),
    Fault::lossless("clocks a day ahead in a time namespace", agent::in_the_future),
    Fault::lossless("clocks an hour behind in a time namespace", agent::in_the_past),
    Fault::lossless("upgrade to programs with other source ports", release::other_settings),
    Fault::lossless("upgrade to another map layout, flows the same", release::other_layout),
    // Streams to the other node are reset where the pod speaks first: two downloads, two uploads, two exchanges.
    Fault {
        streams: 6,
        datagrams: 40,
        ..Fault::lossless("upgrade to another flow layout", release::other_flow_layout)
    },
    Fault::lossless("API server gone and back", api::gone),
    Fault::lossless("pins removed, then the agent killed", pins::removed),
    Fault::lossless("BPF file system unmounted, then the agent killed", pins::unmounted),
    Fault::lossless("foreign XDP program that wants the uplink", uplink::foreign_program),
    Fault::lossless("uplink renamed", uplink::renamed),
    Fault::lossless("MTU of the uplink 1500, 9000, 1500", uplink::mtu_changed),
    Fault::lossless("uplink down and up", uplink::flapped),
];
