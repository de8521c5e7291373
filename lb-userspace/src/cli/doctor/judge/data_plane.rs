//! What the pinned maps hold.

use std::net::IpAddr;

use lb_common::abi::map;

use super::{DataPlane, Facts, Finding, Frontend, Status, finding, pass};
use crate::{
    cli::{doctor::kube_proxy::Claim, names::FrontendType},
    dataplane::usage::Usage,
};

/// A map fuller than this is worth a warning.
const NEARLY_FULL_PERCENT: u64 = 80;
/// Maps that never refuse an entry.
const LRU: [&str; 4] = [map::FLOWS, map::FLOWS6, map::AFFINITY, map::FRAGMENTS];
/// Names listed in one message.
const LISTED: usize = 5;

pub(super) fn kube_proxy(facts: &Facts, data_plane: &DataPlane) -> Option<Finding> {
    let claims = facts.kube_proxy.as_ref()?;
    let claimed: Vec<_> =
        data_plane.frontends.iter().filter(|frontend| claims.contains(&claim(frontend))).collect();
    let message = if claimed.is_empty() {
        "kube-proxy has rules here, none for our frontends".to_owned()
    } else {
        let names = claimed.iter().map(|frontend| frontend.target.to_string());
        format!(
            "kube-proxy has rules for {} of our frontends too ({}): ours see packets from outside first",
            claimed.len(),
            list(names.collect())
        )
    };
    Some(pass("kube-proxy", message))
}

fn claim(frontend: &Frontend) -> Claim {
    let address = match frontend.target.socket.ip() {
        IpAddr::V4(address) if frontend.r#type != FrontendType::NodePort => Some(address),
        _ => None,
    };
    Claim { address, port: frontend.target.socket.port(), protocol: frontend.target.protocol }
}

pub(super) fn endpoints(data_plane: &DataPlane) -> Finding {
    // externalTrafficPolicy Local without an endpoint here is how load balancers learn to go elsewhere.
    let empty = data_plane.frontends.iter().filter(|frontend| frontend.empty && !frontend.local);
    let mut names: Vec<_> = empty.map(|frontend| frontend.service.clone()).collect();
    names.sort();
    names.dedup();
    if names.is_empty() {
        return pass("endpoints", "every Service has an endpoint");
    }
    finding(
        "endpoints",
        Status::Warn,
        format!("{} Services without an endpoint: {}", names.len(), list(names)),
        "kubectl get endpointslices -A, and look at the pods' readiness",
    )
}

pub(super) fn capacity(usage: &Usage) -> Finding {
    let Usage { map, used, capacity, flag } = usage;
    let message = format!("{map}: {used} of {capacity} entries ({} %)", usage.percent());
    if usage.percent() < NEARLY_FULL_PERCENT {
        return pass("capacity", message);
    }
    let message = if LRU.contains(map) {
        message + "; once it is full, the least recently used make room"
    } else {
        message
    };
    let mend = match flag {
        Some(flag) => {
            format!(
                "start the agent with a larger {flag}, after `sluice cleanup` (which ends live connections)"
            )
        }
        None => "this size is fixed; please report how you came to need more".to_owned(),
    };
    finding("capacity", Status::Warn, message, &mend)
}

/// The first names, and how many more.
fn list(names: Vec<String>) -> String {
    let more = names.len().saturating_sub(LISTED);
    let listed = names.into_iter().take(LISTED).collect::<Vec<_>>().join(", ");
    if more > 0 { format!("{listed} and {more} more") } else { listed }
}
