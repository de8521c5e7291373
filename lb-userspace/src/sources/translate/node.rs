//! core/v1 Node.

use std::net::IpAddr;

use k8s_openapi::api::core::v1 as core;
use lb_model::object::Node;

use super::field::{self, Finding, keep, reason};

/// The node's addresses (host names are not addresses) and pod ranges.
pub(super) fn translate(object: &core::Node, findings: &mut Vec<Finding>) -> Node {
    let addresses = object.status.iter().flat_map(|status| status.addresses.iter().flatten()).enumerate();
    Node {
        addresses: addresses
            .filter(|(_, entry)| matches!(entry.type_.as_str(), "InternalIP" | "ExternalIP"))
            .filter_map(|(i, entry)| {
                keep(field::address(format!("status.addresses[{i}].address"), &entry.address), findings)
            })
            .collect(),
        pod_cidrs: pod_cidrs(object)
            .into_iter()
            .filter_map(|(path, text)| keep(cidr(path, text), findings))
            .collect(),
    }
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

fn cidr(path: String, text: &str) -> Result<String, Finding> {
    let valid = text.split_once('/').is_some_and(|(address, length)| {
        let bits = match address.parse() {
            Ok(IpAddr::V4(_)) => 32,
            Ok(IpAddr::V6(_)) => 128,
            Err(_) => return false,
        };
        length.parse::<u8>().is_ok_and(|length| length <= bits)
    });
    if valid {
        return Ok(text.to_owned());
    }
    let message = format!("{text:?} is not a range of addresses; write it like 10.244.1.0/24");
    Err(Finding::new(path, reason::INVALID_ADDRESS, message))
}
