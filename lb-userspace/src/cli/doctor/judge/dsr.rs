//! Direct server return: packets are encapsulated to the endpoint's node, and replies leave from there.

use super::{DataPlane, Facts, Finding, Role, Status, finding, pass};

/// What clients' packets measure at most as a rule: Ethernet's MTU (RFC 894).
const CLIENT_MTU: u32 = 1500;

/// Nothing where no Service is forwarded like this.
pub(super) fn judge(facts: &Facts, data_plane: &DataPlane) -> Vec<Finding> {
    let dsr = &data_plane.dsr;
    if dsr.services == 0 {
        return Vec::new();
    }
    let services = format!("{} Service ports are forwarded with direct server return", dsr.services);
    let mut findings = Vec::new();
    if dsr.peers == 0 && dsr.overhead > 0 {
        findings.push(finding(
            "dsr",
            Status::Warn,
            format!("{services}, but no other node is known: what they send here encapsulated is dropped"),
            "kubectl get nodes -o wide: each Node needs an InternalIP of the endpoints' family",
        ));
    }
    let wanted = CLIENT_MTU + dsr.overhead;
    let uplinks = facts.devices.iter().filter(|device| matches!(device.role, Role::Uplink | Role::Vlan));
    for device in uplinks.filter(|device| (1..wanted).contains(&device.mtu)) {
        findings.push(finding(
            "dsr",
            Status::Warn,
            format!(
                "{services}, and {} has an MTU of {}: clients' packets of more than {} bytes are answered with an ICMP \
                 error that asks for smaller ones, and clients that filter it hang",
                device.name,
                device.mtu,
                device.mtu - dsr.overhead.min(device.mtu),
            ),
            &format!("raise the MTU of {} and of the network between the nodes to {wanted} or more", device.name),
        ));
    }
    if findings.is_empty() {
        findings
            .push(pass("dsr", format!("{services}; {} addresses of other nodes may send here", dsr.peers)));
    }
    findings
}
