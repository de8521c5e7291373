//! Any bytes as the file of `--external-ip-policy`.

use std::net::IpAddr;

use lb_model::{
    cidr::Cidr, config::NodeConfig, desired::desired, object::Snapshot, policy::ExternalIpPolicy,
    refusal::reason,
};
use lb_sources::{
    Consumer,
    manifest::document,
    policy,
    translate::{Kind, Outcome, Translation, translate},
};
use serde_json::json;

use crate::cluster;

/// Reads the bytes as the agent does; a policy is asked about its own ranges and about Services that claim from them.
pub fn run(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    match policy::parse(text) {
        Ok(policy) => {
            assert_eq!(document::parse(text).len(), 1, "one policy and nothing else");
            assert_same_when_written_anew(&policy);
            let namespaces = policy.namespaces.keys().map(String::as_str).chain(["0"]);
            let ranges = policy.namespaces.values().flatten().chain(&policy.everywhere);
            let addresses: Vec<IpAddr> = ranges.map(Cidr::network).take(8).collect();
            for namespace in namespaces.take(8) {
                addresses.iter().for_each(|address| assert_claim_is_judged(&policy, namespace, *address));
            }
        }
        Err(error) => assert_says_where(text, &error),
    }
}

fn assert_same_when_written_anew(policy: &ExternalIpPolicy) {
    let mut text = "externalIPs:\n".to_owned();
    let list = |ranges: &[Cidr]| ranges.iter().map(|range| format!("'{range}'")).collect::<Vec<_>>();
    let is_empty = policy.everywhere.is_empty() && policy.namespaces.is_empty();
    if !policy.everywhere.is_empty() {
        text += &format!("- cidrs: [{}]\n", list(&policy.everywhere).join(", "));
    }
    for (namespace, ranges) in &policy.namespaces {
        text += &format!("- cidrs: [{}]\n  namespaces: ['{namespace}']\n", list(ranges).join(", "));
    }
    let text = if is_empty { "externalIPs: []".to_owned() } else { text };
    assert_eq!(policy::parse(&text).as_ref(), Ok(policy), "{text}");
}

/// A Service of the namespace with this external IP: served where the policy allows that, refused by name where not.
fn assert_claim_is_judged(policy: &ExternalIpPolicy, namespace: &str, address: IpAddr) {
    let service = json!({
        "metadata": {"name": "web", "namespace": namespace},
        "spec": {"externalIPs": [address], "ports": [{"port": 80}]},
    });
    let Translation { key, outcome, findings, .. } = translate(Consumer::Agent, Kind::Service, &service);
    // An address that the source refuses is never asked for.
    let (Outcome::Served(service), []) = (outcome, &*findings) else { return };
    let mut snapshot = Snapshot::default();
    service.put(key.clone(), &mut snapshot);
    let config = NodeConfig { external_ips_allowed: policy.clone(), ..cluster::config() };
    let decided = desired(&snapshot, &config);
    let refused: Vec<_> = decided.refusals.iter().filter(|refusal| refusal.object == key).collect();
    let is_unallowed = refused.iter().any(|refusal| refusal.reason == reason::EXTERNAL_IP_NOT_ALLOWED);
    assert_eq!(is_unallowed, !policy.allows(namespace, address), "{namespace} {address}");
    assert_eq!(decided.services.is_empty(), !refused.is_empty(), "served, or refused by name");
}

/// An error about a place names a line that the text has, and is one line itself.
fn assert_says_where(text: &str, error: &str) {
    assert!(!error.is_empty() && !error.contains(char::is_control), "{error:?}");
    if let Some(rest) = error.strip_prefix("line ") {
        let line: usize = rest.split(',').next().and_then(|line| line.parse().ok()).expect("a line number");
        let breaks = text.bytes().filter(|byte| matches!(byte, b'\n' | b'\r')).count();
        assert!((1..=breaks + 1).contains(&line), "{error}: the text has no such line");
    }
}
