//! Every fault that can be had again and again.

mod agent;
mod api;
mod pins;
mod release;
mod uplink;

use anyhow::Result;

use super::{Fault, Load, World};

/// All of them, by subject. What a fault may cost beside nothing is explained in `docs/survival.md`.
pub const FAULTS: [Fault; 17] = [
    Fault::lossless("agent killed and started again", agent::killed),
    Fault::lossless("agent ended by SIGTERM and started again", agent::terminated),
    Fault::lossless("second agent on the same --bpf-dir", agent::second),
    Fault::lossless("second agent with another --bpf-dir", agent::second_elsewhere),
    Fault::lossless("clocks a day ahead in a time namespace", agent::in_the_future),
    Fault::lossless("clocks an hour behind in a time namespace", agent::in_the_past),
    Fault::lossless("upgrade to programs with other source ports", release::other_settings),
    Fault::lossless("upgrade to another map layout, flows the same", release::other_layout),
    Fault { streams: 6, ..without_flows("upgrade to another flow layout", release::other_flow_layout) },
    Fault::lossless("API server gone and back", api::gone),
    Fault::lossless("pins removed, then the agent killed", pins::removed),
    Fault::lossless("BPF file system unmounted, then the agent killed", pins::unmounted),
    Fault::lossless("foreign XDP program that wants the uplink", uplink::foreign_program),
    Fault::lossless("uplink renamed", uplink::renamed),
    Fault::lossless("uplink added, used and removed", uplink::added),
    Fault::lossless("MTU of the uplink 1500, 9000, 1500", uplink::mtu_changed),
    Fault::lossless("uplink down and up", uplink::flapped),
];

/// Back to the older release of [`World::set_older_release`], and up again: the older one does not know the maps of a later
/// layout, this one knows its.
pub const fn older_release() -> Fault {
    without_flows("roll back to an older release, and upgrade from it", release::older)
}

/// A fault that leaves the flow table behind. All is opened anew to the same endpoints and with the same source ports;
/// what breaks is what an endpoint speaks on before its client does. At most: each connection that is being opened, what is
/// on its way, and half of the streams; all of them where an older release opens them anew.
const fn without_flows(name: &'static str, happen: fn(&mut World, &Load) -> Result<u64>) -> Fault {
    Fault { streams: 12, connections: 4, datagrams: 40, ..Fault::lossless(name, happen) }
}
