//! `--external-ip-policy`: followed while the agent runs, and never thrown away for a slip of the pen.

use std::fs;

use lb_tests::{skip, wait};
use lb_userspace::dataplane::pinned::Pinned;

use crate::node::Node;

/// Services of two namespaces, each with an external IP.
const CLAIMS: &str = "
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {externalIPs: [198.51.100.10], ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: bank}
spec: {externalIPs: [198.51.100.20], ports: [{port: 80}]}
";

#[test]
fn external_ips_are_served_as_the_policy_file_says_at_each_moment() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    let node = Node::new();
    node.write("claims.yaml", CLAIMS);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("policy.yaml");
    let policy =
        |namespace: &str| format!("externalIPs: [{{cidrs: [198.51.100.0/24], namespaces: [{namespace}]}}]");
    fs::write(&path, policy("shop")).unwrap();
    let _agent = node.start(&["--external-ip-policy", path.to_str().unwrap()]);
    let refused = |reason: &str| {
        let line = format!("sluice_refused_objects{{reason=\"{reason}\"}} 1\n");
        node.admin("/metrics").unwrap().1.contains(&line)
    };
    let served = |expected: &[&str]| {
        wait::until_true(&format!("{expected:?} are served"), || node.external_ips() == expected).unwrap();
    };
    served(&["198.51.100.10"]);
    wait::until_true("the other claim is refused", || refused("ExternalIpNotAllowed")).unwrap();

    fs::write(&path, policy("shop, bank")).unwrap();
    served(&["198.51.100.10", "198.51.100.20"]);

    fs::write(&path, "externalIPs: [{cidr: [198.51.100.0/24]}]").unwrap();
    wait::until_true("the broken policy is refused", || refused("ExternalIpPolicyInvalid")).unwrap();
    served(&["198.51.100.10", "198.51.100.20"]);

    fs::write(&path, policy("bank")).unwrap();
    served(&["198.51.100.20"]);
    assert!(!refused("ExternalIpPolicyInvalid"));
}

#[test]
fn an_agent_does_not_start_on_a_broken_policy() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    let node = Node::new();
    fs::write(node.directory.path().join("policy"), "externalIPs: no").unwrap();
    let path = node.directory.path().join("policy");
    let (code, log) = node.fail(&["--external-ip-policy", path.to_str().unwrap()]);
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("the external-IP policy") && log.contains("sluice check -f"), "{log}");
    assert!(Pinned::open(&node.pins).is_err(), "nothing was loaded");
}
