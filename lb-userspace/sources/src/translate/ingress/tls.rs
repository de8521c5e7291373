//! `spec.tls`.

use k8s_openapi::api::networking::v1 as networking;
use lb_model::ingress::IngressTls;

use super::super::field::{self, Finding, keep, reason};

/// The entries, without the hosts and Secrets that cannot be any.
pub(super) fn translate(
    entries: Vec<networking::IngressTLS>,
    findings: &mut Vec<Finding>,
) -> Vec<IngressTls> {
    let mut tls = Vec::new();
    for (i, entry) in entries.into_iter().enumerate() {
        let at = format!("spec.tls[{i}]");
        let secret = entry.secret_name.filter(|name| !name.is_empty());
        // The name becomes part of a request's path.
        let secret =
            secret.map(|name| field::check_subdomain(&format!("{at}.secretName"), &name).map(|()| name));
        // Without its Secret the entry would ask for the default certificate.
        let Some(secret) = keep(secret.transpose(), findings) else { continue };
        let asked = entry.hosts.unwrap_or_default();
        let is_for_any = asked.is_empty();
        let hosts: Vec<_> = asked
            .into_iter()
            .enumerate()
            .filter_map(|(n, text)| keep(host(format!("{at}.hosts[{n}]"), &text), findings))
            .collect();
        if is_for_any || !hosts.is_empty() {
            tls.push(IngressTls { hosts, secret });
        }
    }
    tls
}

fn host(at: String, text: &str) -> Result<String, Finding> {
    let host = text.to_ascii_lowercase();
    if field::is_host(&host) {
        return Ok(host);
    }
    let message = format!("{text:?} is no host; write a name like shop.example.com or *.example.com");
    Err(Finding::new(at, reason::INVALID_HOST, message))
}
