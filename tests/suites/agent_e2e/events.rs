//! Agents behind an API server: what is not served becomes an Event, and a slow server costs no packet.

use lb_tests::{
    api_server::{Hosted, Operation, Request, Resource},
    skip, wait,
};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::node::Node;

fn service(name: &str, external_ip: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "shop"},
        "spec": {"externalIPs": [external_ip], "ports": [{"port": 80}]},
    })
}

#[test]
fn a_refused_external_ip_is_an_event_on_its_service_once() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    let node = Node::new();
    let server = server(&node);
    server.api.apply(service("web", "198.51.100.9"));
    let kubeconfig = node.directory.path().join("config");
    server.api.write_kubeconfig(&kubeconfig);
    let agent = node.start_as(node.following(&kubeconfig, &["--external-ips-allowed=203.0.113.0/24"]));
    let names = || -> Vec<String> {
        let events = server.api.events();
        events.iter().map(|event| event["regarding"]["name"].as_str().unwrap().to_owned()).collect()
    };
    wait::until_true("the first Event", || names() == ["web"]).unwrap();
    let event = server.api.events().remove(0);
    assert_eq!((&event["reason"], &event["type"]), (&"ExternalIpNotAllowed".into(), &"Warning".into()));
    assert!(event["note"].as_str().unwrap().contains("198.51.100.9"), "{event}");
    assert_eq!(event["reportingInstance"], "node");

    // More changes: what is refused still is not told again.
    server.api.apply(service("api", "198.51.100.10"));
    wait::until_true("the second Event", || names() == ["web", "api"]).unwrap();
    assert!(server.api.events().iter().all(|event| event["series"].is_null()), "{:#?}", server.api.events());
    drop(agent);
}

#[test]
fn an_agent_that_waits_for_its_first_snapshot_leaves_programs_where_they_are() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    let node = Node::new();
    let server = server(&node);
    let kubeconfig = node.directory.path().join("config");
    server.api.write_kubeconfig(&kubeconfig);
    node.start_as(node.following(&kubeconfig, &[])).end(Signal::SIGKILL);
    let links = node.links().map(|link| link.id);

    let gate = server.api.hold_next_list(Resource::Nodes);
    let lists =
        |request: &Request| request.resource == Resource::Nodes && request.operation == Operation::List;
    let before = server.api.count(lists);
    let agent = node.spawn(node.following(&kubeconfig, &[]));
    wait::until_true("the agent waits for Nodes", || {
        server.api.count(lists) > before && node.admin("/healthz").is_some_and(|(code, _)| code == 200)
    })
    .unwrap();
    assert_eq!(node.admin("/readyz").unwrap().0, 503);
    gate.notify_one();
    let _agent = agent.ready();
    assert_eq!(node.links().map(|link| link.id), links, "programs were swapped in the same links");
}

/// An API server inside the node's namespace, which knows the node.
fn server(node: &Node) -> Hosted {
    let server = Hosted::start(&node.namespace).unwrap();
    server.api.apply(json!({
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": "node"},
        "status": {"addresses": [{"type": "InternalIP", "address": "192.0.2.1"}]},
    }));
    server
}
