//! What the pinned maps hold.

use lb_common::abi::map;
use lb_model::object::IpFamily;

use super::{DataPlane, Facts, Finding, Frontend, Status, finding, list, pass};
use crate::{
    cli::{
        doctor::kube_proxy::{Claim, Rules},
        names::FrontendType,
    },
    dataplane::usage::Usage,
};

/// A map fuller than this is worth a warning.
const NEARLY_FULL_PERCENT: u64 = 80;
/// Maps that never refuse an entry.
const LRU: [&str; 4] = [map::FLOWS, map::FLOWS6, map::AFFINITY, map::FRAGMENTS];

pub(super) fn kube_proxy(facts: &Facts, data_plane: &DataPlane) -> Option<Finding> {
    let claims = match &facts.kube_proxy {
        Rules::Absent => return None,
        Rules::Claims(claims) => claims,
        Rules::Unknown => {
            return Some(finding(
                "kube-proxy",
                Status::Note,
                "neither nft nor iptables-save is here: whether kube-proxy claims our frontends cannot be told",
                "run `sluice doctor` on the node itself, where these are; images of Sluice hold neither",
            ));
        }
    };
    let claimed: Vec<_> =
        data_plane.frontends.iter().filter(|frontend| claims.contains(&claim(frontend))).collect();
    if claimed.is_empty() {
        return Some(pass("kube-proxy", "kube-proxy has rules here, none for our frontends"));
    }
    let names = claimed.iter().map(|frontend| frontend.target.to_string());
    Some(finding(
        "kube-proxy",
        Status::Note,
        format!(
            "kube-proxy has rules for {} of our frontends too ({}): ours see packets from outside first",
            claimed.len(),
            list(names.collect())
        ),
        "none is needed while kube-proxy runs for what this node's own pods send; with --proxy-mode=ipvs start it with \
         --ipvs-strict-arp too, or every node answers ARP for these addresses",
    ))
}

fn claim(frontend: &Frontend) -> Claim {
    let socket = frontend.target.socket;
    let address = (frontend.r#type != FrontendType::NodePort).then(|| socket.ip());
    Claim {
        family: IpFamily::of(socket.ip()),
        address,
        port: socket.port(),
        protocol: frontend.target.protocol,
    }
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
