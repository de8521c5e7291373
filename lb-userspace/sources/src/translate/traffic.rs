//! Fields of a Service that decide who is let in and where a client's packets go: affinity, source ranges,
//! forwarding mode.

use k8s_openapi::{api::core::v1 as core, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use lb_model::{
    cidr::Cidr,
    object::{ForwardingMode, TrafficPolicy},
};

use super::field::{Finding, keep, reason};

/// How packets reach endpoints of other nodes; this project's own.
const FORWARDING_MODE: &str = "sluice.dev/forwarding-mode";
/// What `spec.loadBalancerSourceRanges` replaced, still read where that is empty (`core/v1`
/// `AnnotationLoadBalancerSourceRangesKey`, cloud-provider `GetLoadBalancerSourceRanges`).
const SOURCE_RANGES: &str = "service.beta.kubernetes.io/load-balancer-source-ranges";
/// `core/v1` `DefaultClientIPServiceAffinitySeconds`.
const DEFAULT_AFFINITY_SECONDS: u32 = 10_800;
/// `core/v1` `MaxClientIPServiceAffinitySeconds`: a day.
const MAX_AFFINITY_SECONDS: i32 = 86_400;

/// `spec.externalTrafficPolicy`. An unknown one refuses the Service: either reading could be the wrong one.
pub(super) fn policy(spec: &core::ServiceSpec) -> Result<TrafficPolicy, Finding> {
    match spec.external_traffic_policy.as_deref() {
        None | Some("" | "Cluster") => Ok(TrafficPolicy::Cluster),
        Some("Local") => Ok(TrafficPolicy::Local),
        Some(other) => {
            let message = format!("{other:?} is no traffic policy; use Cluster or Local");
            Err(Finding::new("spec.externalTrafficPolicy", reason::INVALID_VALUE, message))
        }
    }
}

/// For how long a client stays with its endpoint. A bad timeout leaves the default.
pub(super) fn affinity_seconds(spec: &core::ServiceSpec, findings: &mut Vec<Finding>) -> Option<u32> {
    match spec.session_affinity.as_deref() {
        None | Some("" | "None") => return None,
        Some("ClientIP") => {}
        Some(other) => {
            let message = format!("{other:?} is no session affinity; use ClientIP or None");
            findings.push(Finding::new("spec.sessionAffinity", reason::INVALID_VALUE, message));
            return None;
        }
    }
    let client_ip = spec.session_affinity_config.as_ref().and_then(|config| config.client_ip.as_ref());
    let Some(seconds) = client_ip.and_then(|config| config.timeout_seconds) else {
        return Some(DEFAULT_AFFINITY_SECONDS);
    };
    if (1..=MAX_AFFINITY_SECONDS).contains(&seconds) {
        return Some(seconds.unsigned_abs());
    }
    let message = format!(
        "{seconds} is no timeout, and {DEFAULT_AFFINITY_SECONDS} is used; give 1 to {MAX_AFFINITY_SECONDS} seconds"
    );
    let field = "spec.sessionAffinityConfig.clientIP.timeoutSeconds";
    findings.push(Finding::new(field, reason::INVALID_VALUE, message));
    Some(DEFAULT_AFFINITY_SECONDS)
}

/// Who may use the load-balancer IPs; none where nothing was asked for. A text that is no range lets nobody in: a slip
/// must not open what was meant to be closed.
pub(super) fn source_ranges(object: &core::Service, findings: &mut Vec<Finding>) -> Option<Vec<Cidr>> {
    let field = object.spec.iter().flat_map(|spec| spec.load_balancer_source_ranges.iter().flatten());
    let mut asked: Vec<(String, &str)> = field
        .enumerate()
        .map(|(i, text)| (format!("spec.loadBalancerSourceRanges[{i}]"), text.as_str()))
        .collect();
    if asked.is_empty() {
        let text = annotation(&object.metadata, SOURCE_RANGES).filter(|text| !text.is_empty())?;
        asked =
            text.split(',').map(|text| (format!("metadata.annotations[{SOURCE_RANGES}]"), text)).collect();
    }
    let mut ranges: Vec<Cidr> = asked
        .into_iter()
        .filter_map(|(field, text)| keep(source_range(field, text.trim()), findings))
        .collect();
    ranges.sort_unstable();
    ranges.dedup();
    Some(ranges)
}

fn source_range(field: String, text: &str) -> Result<Cidr, Finding> {
    if !text.contains('/') {
        let message = format!("{text:?} has no prefix length and lets nobody in; write ADDRESS/LENGTH");
        return Err(Finding::new(field, reason::INVALID_RANGE, message));
    }
    Cidr::parse_masked(text).map_err(|error| {
        Finding::new(field, reason::INVALID_RANGE, format!("{text:?} lets nobody in: {error}"))
    })
}

/// How packets reach endpoints of other nodes.
pub(super) fn forwarding_mode(metadata: &ObjectMeta, findings: &mut Vec<Finding>) -> ForwardingMode {
    match annotation(metadata, FORWARDING_MODE) {
        None | Some("snat") => ForwardingMode::Snat,
        Some("dsr") => ForwardingMode::Dsr,
        Some(other) => {
            let message = format!("{other:?} is no forwarding mode, and snat is used; write snat or dsr");
            let field = format!("metadata.annotations[{FORWARDING_MODE}]");
            findings.push(Finding::new(field, reason::INVALID_VALUE, message));
            ForwardingMode::Snat
        }
    }
}

fn annotation<'a>(metadata: &'a ObjectMeta, name: &str) -> Option<&'a str> {
    metadata.annotations.as_ref()?.get(name).map(|text| text.trim())
}
