//! What is not served, as a user of the cluster meets it.

use std::sync::{Arc, mpsc};

use lb_tests::{api_server::ApiServer, skip, wait};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

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
    let stop = CancellationToken::new();
    let (started, server) = mpsc::channel();
    let until = stop.clone();
    let thread = node.namespace.spawn(move || async move {
        started.send(Arc::new(ApiServer::start().await)).unwrap();
        until.cancelled().await;
    });
    let server = server.recv().unwrap();
    server.apply(json!({
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": "node"},
        "status": {"addresses": [{"type": "InternalIP", "address": "192.0.2.1"}]},
    }));
    server.apply(service("web", "198.51.100.9"));
    let kubeconfig = node.directory.path().join("config");
    server.write_kubeconfig(&kubeconfig);
    let agent = node.start_as(node.following(&kubeconfig, &["--external-ips-allowed=203.0.113.0/24"]));
    let names = || -> Vec<String> {
        let events = server.events();
        events.iter().map(|event| event["regarding"]["name"].as_str().unwrap().to_owned()).collect()
    };
    wait::until_true("the first Event", || names() == ["web"]).unwrap();
    let event = server.events().remove(0);
    assert_eq!((&event["reason"], &event["type"]), (&"ExternalIpNotAllowed".into(), &"Warning".into()));
    assert!(event["note"].as_str().unwrap().contains("198.51.100.9"), "{event}");
    assert_eq!(event["reportingInstance"], "node");

    // More changes: what is refused still is not told again.
    server.apply(service("api", "198.51.100.10"));
    wait::until_true("the second Event", || names() == ["web", "api"]).unwrap();
    assert!(server.events().iter().all(|event| event["series"].is_null()), "{:#?}", server.events());
    drop(agent);
    stop.cancel();
    thread.unwrap().join().unwrap();
}
