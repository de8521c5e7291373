//! Whether packets find their way: from here to endpoints, and from outside to VIPs.

use super::{DataPlane, Finding, Place, Silent, Status, Vip, finding, list, pass};

/// The way to endpoints, and back to clients.
pub(super) fn endpoints(data_plane: &DataPlane) -> Vec<Finding> {
    let mut findings: Vec<_> = data_plane.silent.iter().map(silent).collect();
    if findings.is_empty() {
        findings.push(pass("neighbours", "every next hop that was asked for has answered"));
    }
    if let Some(first) = data_plane.unrouted.first() {
        let addresses: Vec<_> = data_plane.unrouted.iter().map(ToString::to_string).collect();
        findings.push(finding(
            "routes",
            Status::Fail,
            format!("no route to {} endpoints on other nodes ({})", addresses.len(), list(addresses)),
            &format!("`ip route get {first}` on this node: the CNI is to make the route, see its agent here"),
        ));
    }
    findings
}

fn silent(hop: &Silent) -> Finding {
    let Silent { address, device, endpoints } = hop;
    let addresses: Vec<_> = endpoints.iter().map(ToString::to_string).collect();
    let (what, check) = match endpoints.first() {
        None => ("the gateway: replies to clients beyond it are lost".to_owned(), String::new()),
        Some(endpoint) if endpoint == address => {
            ("an endpoint: packets to it are lost".to_owned(), String::new())
        }
        Some(endpoint) => (
            format!(
                "the next hop to {} endpoints ({}): packets to them are lost",
                addresses.len(),
                list(addresses)
            ),
            format!("; is `ip route get {endpoint}` what it should be?"),
        ),
    };
    finding(
        "neighbours",
        Status::Fail,
        format!("nobody on {device} answers for {address}, {what}"),
        &format!(
            "`ping -I {device} {address}`: is that host up, and on this segment (VLAN, bond, switch port){check}"
        ),
    )
}

/// The way of clients' packets to this node, as far as it can tell: a packet that comes is the only proof.
pub(super) fn vips(data_plane: &DataPlane) -> Vec<Finding> {
    let vips = &data_plane.vips;
    let mut findings: Vec<_> = vips.iter().filter_map(unannounced).collect();
    let is_quiet = |vip: &&Vip| match vip.place {
        Place::Routed | Place::Segment { answered: None, .. } => vip.packets == 0,
        Place::Own | Place::Segment { answered: Some(_), .. } => false,
    };
    let quiet: Vec<_> = vips.iter().filter(is_quiet).map(name).collect();
    if !quiet.is_empty() {
        findings.push(finding(
            "vips",
            Status::Note,
            format!("no packet has come here for {} of {} VIPs: {}", quiet.len(), vips.len(), list(quiet)),
            "where clients get no answer, look on their router whether it has a route for the VIP to this node (BGP \
             session, static route); where one node at a time announces VIPs, those of other nodes look like this",
        ));
    }
    if findings.is_empty() && !vips.is_empty() {
        findings.push(pass("vips", "packets have come for every VIP, or another host announces it"));
    }
    findings
}

/// A VIP that hosts of a segment ask for in vain.
fn unannounced(vip: &Vip) -> Option<Finding> {
    let Place::Segment { device, answered: Some(false) } = &vip.place else { return None };
    Some(finding(
        "vips",
        Status::Warn,
        format!(
            "{} lies in the subnet of {device}, no other host there answers for it (ARP, neighbour discovery), and no \
             packet for it has come here: unless this node announces it, clients do not find it",
            name(vip)
        ),
        "have one node announce it (MetalLB in layer 2 mode, kube-vip, keepalived), or take an address that the router \
         has a route for",
    ))
}

fn name(vip: &Vip) -> String {
    let services: Vec<_> = vip.services.iter().cloned().collect();
    format!("{} ({})", vip.address, list(services))
}
