//! Facts to findings.

mod data_plane;
mod devices;
mod dsr;
mod network;
mod node;
mod reach;

use serde::Serialize;

use super::facts::{DataPlane, Device, Facts, Frontend, Place, Role, Silent, Vip};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Status {
    /// As it should be.
    Pass,
    /// May be as it should be: only who runs the cluster can tell.
    Note,
    /// Works, but not as well as it could, or will stop working.
    Warn,
    /// Does not work.
    Fail,
}

/// One thing found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// What was looked at, in one word.
    pub(crate) check: &'static str,
    /// How it is.
    pub(crate) status: Status,
    /// What was found.
    pub(crate) message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mend: Option<String>,
}

fn finding(check: &'static str, status: Status, message: impl Into<String>, mend: &str) -> Finding {
    let mend = (!mend.is_empty()).then(|| mend.to_owned());
    Finding { check, status, message: message.into(), mend }
}

/// Names listed in one message.
const LISTED: usize = 5;

/// The first names, and how many more.
fn list(names: Vec<String>) -> String {
    let more = names.len().saturating_sub(LISTED);
    let listed = names.into_iter().take(LISTED).collect::<Vec<_>>().join(", ");
    if more > 0 { format!("{listed} and {more} more") } else { listed }
}

fn pass(check: &'static str, message: impl Into<String>) -> Finding {
    finding(check, Status::Pass, message, "")
}

/// Judges everything, in the order in which a user should mend it.
pub(crate) fn judge(facts: &Facts) -> Vec<Finding> {
    let mut findings = vec![
        node::kernel(facts),
        node::btf(facts),
        node::capabilities(facts),
        node::bpffs(facts),
        node::pins(facts),
        node::agent(facts),
    ];
    findings.extend(devices::elsewhere(facts));
    findings.extend(facts.devices.iter().flat_map(|device| devices::programs(device, facts)));
    findings.extend(facts.devices.iter().flat_map(devices::tcx_order));
    findings.extend(network::forwarding(facts));
    findings.extend(network::forwarding6(facts));
    findings.extend(network::reverse_path(facts));
    findings.push(network::ports(facts));
    if let Some(data_plane) = &facts.data_plane {
        findings.extend(data_plane::kube_proxy(facts, data_plane));
        findings.push(data_plane::endpoints(data_plane));
        findings.extend(reach::endpoints(data_plane));
        findings.extend(reach::vips(data_plane));
        findings.extend(dsr::judge(facts, data_plane));
        findings.extend(data_plane.maps.iter().map(data_plane::capacity));
    }
    findings
}
