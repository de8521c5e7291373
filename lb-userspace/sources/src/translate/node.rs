//! core/v1 Node.

use std::net::IpAddr;

use k8s_openapi::api::core::v1 as core;
use lb_model::{cidr::Cidr, object::Node};

use super::field::{self, Finding, keep, reason};

/// Where the node is (`core/v1` `LabelTopologyZone`).
const ZONE: &str = "topology.kubernetes.io/zone";

/// The node's addresses (host names are not addresses), zone and pod ranges.
pub(super) fn translate(object: &core::Node, findings: &mut Vec<Finding>) -> Node {
    Node {
        internal_ips: addresses(object, "InternalIP", findings),
        external_ips: addresses(object, "ExternalIP", findings),
        zone: object.metadata.labels.as_ref().and_then(|labels| labels.get(ZONE)).cloned(),
        pod_cidrs: pod_cidrs(object)
            .into_iter()
            .filter_map(|(path, text)| keep(cidr(path, text), findings))
            .collect(),
    }
}

fn addresses(object: &core::Node, kind: &str, findings: &mut Vec<Finding>) -> Vec<IpAddr> {
    let addresses = object.status.iter().flat_map(|status| status.addresses.iter().flatten()).enumerate();
    addresses
        .filter(|(_, entry)| entry.type_ == kind)
        .filter_map(|(i, entry)| {
            keep(field::address(format!("status.addresses[{i}].address"), &entry.address), findings)
        })
        .collect()
}

fn pod_cidrs(object: &core::Node) -> Vec<(String, &String)> {
    let Some(spec) = &object.spec else { return Vec::new() };
    match &spec.pod_cidrs {
        Some(list) if !list.is_empty() => {
            list.iter().enumerate().map(|(i, text)| (format!("spec.podCIDRs[{i}]"), text)).collect()
        }
        _ => spec.pod_cidr.iter().map(|text| ("spec.podCIDR".to_owned(), text)).collect(),
    }
}

fn cidr(path: String, text: &str) -> Result<Cidr, Finding> {
    let range = Cidr::parse_masked(text).ok().filter(|_| text.contains('/'));
    range.ok_or_else(|| {
        let message = format!("{text:?} is not a range of addresses; write it like 10.244.1.0/24");
        Finding::new(path, reason::INVALID_RANGE, message)
    })
}
