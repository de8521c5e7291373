//! An entry of `spec.rules`.

use std::net::IpAddr;

use k8s_openapi::api::networking::v1 as networking;
use lb_model::ingress::{IngressPath, IngressRule, PathType};

use super::{
    super::field::{self, Finding, keep, reason},
    IMPLEMENTATION_SPECIFIC,
    backend::{self, Names},
};

/// What a path cannot hold (`invalidPathSequences`) …
const INVALID_SEQUENCES: [&str; 5] = ["//", "/./", "/../", "%2f", "%2F"];
/// … and what it cannot end with (`invalidPathSuffixes`).
const INVALID_SUFFIXES: [&str; 2] = ["/..", "/."];

/// The rule at `at`, without the paths that are wrong. One that has no other is no rule: without paths it would send
/// everything to the default backend.
pub(super) fn translate(
    at: &str,
    entry: networking::IngressRule,
    names: Names,
    findings: &mut Vec<Finding>,
) -> Option<IngressRule> {
    let host = keep(host(&format!("{at}.host"), entry.host.as_deref().unwrap_or_default()), findings)?;
    let Some(http) = entry.http else { return Some(IngressRule { host, paths: Vec::new() }) };
    let at = format!("{at}.http.paths");
    if http.paths.is_empty() {
        let message = "no paths; name one, or leave http out for all paths";
        findings.push(Finding::new(at, reason::MISSING_VALUE, message));
        return None;
    }
    let paths: Vec<_> = http
        .paths
        .into_iter()
        .enumerate()
        .filter_map(|(i, entry)| keep(path(&format!("{at}[{i}]"), entry, names), findings))
        .collect();
    (!paths.is_empty()).then_some(IngressRule { host, paths })
}

/// A host in lower case; none for every host.
fn host(at: &str, text: &str) -> Result<Option<String>, Finding> {
    if text.is_empty() {
        return Ok(None);
    }
    let wrong = |message: String| Err(Finding::new(at, reason::INVALID_HOST, message));
    if text.parse::<IpAddr>().is_ok() {
        return wrong(format!(
            "{text:?} is an address; a host is a name, and a rule without one is for every host"
        ));
    }
    let host = text.to_ascii_lowercase();
    if field::is_host(&host) {
        return Ok(Some(host));
    }
    wrong(format!("{text:?} is no host; write a name like shop.example.com or *.example.com, without a port"))
}

fn path(at: &str, entry: networking::HTTPIngressPath, names: Names) -> Result<IngressPath, Finding> {
    let path_type = match entry.path_type.as_str() {
        "Exact" => PathType::Exact,
        "Prefix" => PathType::Prefix,
        "" | IMPLEMENTATION_SPECIFIC => PathType::ImplementationSpecific,
        other => {
            let message =
                format!("{other:?} is no path type; use Exact, Prefix or {IMPLEMENTATION_SPECIFIC}");
            return Err(Finding::new(format!("{at}.pathType"), reason::INVALID_VALUE, message));
        }
    };
    let path = entry.path.unwrap_or_default();
    let path =
        if path.is_empty() && path_type == PathType::ImplementationSpecific { "/".into() } else { path };
    check_path(&path, path_type)
        .map_err(|message| Finding::new(format!("{at}.path"), reason::INVALID_PATH, message))?;
    let backend = backend::translate(&format!("{at}.backend"), entry.backend, names)?;
    Ok(IngressPath { path, path_type, backend })
}

/// `validateHTTPIngressPath`.
fn check_path(path: &str, path_type: PathType) -> Result<(), String> {
    if path.is_empty() {
        return Err("missing; an Exact or Prefix path has to be named".to_owned());
    }
    if !path.starts_with('/') {
        return Err(format!("{path:?} is no path; begin it with /"));
    }
    if path_type == PathType::ImplementationSpecific {
        return Ok(());
    }
    if let Some(sequence) = INVALID_SEQUENCES.into_iter().find(|sequence| path.contains(sequence)) {
        return Err(format!("{path:?} cannot hold {sequence}, which no normalised path does; remove it"));
    }
    if let Some(suffix) = INVALID_SUFFIXES.into_iter().find(|suffix| path.ends_with(suffix)) {
        return Err(format!("{path:?} cannot end with {suffix}, which no normalised path does; remove it"));
    }
    Ok(())
}
