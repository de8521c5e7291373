//! What is not served stays visible with the agent dead, and goes with its cause.

use lb_tests::{skip, wait};
use lb_userspace::dataplane::pinned::Pinned;
use nix::sys::signal::Signal;

use crate::node::Node;

fn claims(external_ips: &str) -> String {
    format!(
        "
apiVersion: v1
kind: Service
metadata: {{name: web, namespace: shop}}
spec: {{type: NodePort, externalIPs: [{external_ips}], ports: [{{port: 80, nodePort: 30081}}]}}
"
    )
}

#[test]
fn refusals_are_shown_with_the_agent_dead_and_are_put_right_by_the_next() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    let node = Node::new();
    node.write("claims.yaml", &claims("198.51.100.9, 198.51.100.10"));
    let mut agent = node.start(&[]);
    let refused = || -> Vec<String> {
        let records = Pinned::open(&node.pins).unwrap().refusals().unwrap();
        let mut messages: Vec<_> = records.values().map(|record| record.message().to_owned()).collect();
        messages.sort();
        messages
    };
    wait::until_true("both are recorded", || refused().len() == 2).unwrap();
    node.write("claims.yaml", &claims("198.51.100.10"));
    wait::until_true("one is left", || refused().len() == 1).unwrap();
    agent.end(Signal::SIGKILL);

    let wide = node.sluice(&["get", "services", "-n", "shop", "-o", "wide"]);
    assert!(
        wide.contains("Refused") && wide.contains("ExternalIpNotAllowed: external IP 198.51.100.10"),
        "{wide}"
    );
    let json: serde_json::Value =
        serde_json::from_str(&node.sluice(&["get", "svc", "web", "-n", "shop", "-o", "json"])).unwrap();
    let items = json["items"].as_array().unwrap();
    assert_eq!(items.len(), 2, "a NodePort that is served, and a refusal: {json}");
    assert_eq!(items[1]["refused"]["reason"], "ExternalIpNotAllowed", "{json}");

    node.write("claims.yaml", &claims(""));
    let _agent = node.start(&[]);
    wait::until_true("nothing is left", || refused().is_empty()).unwrap();
}
