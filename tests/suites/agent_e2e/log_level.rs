//! The log level, read and changed while the agent runs.

use std::process::Output;

use lb_tests::{agent::binary, netns::Namespace, skip, traffic::request};

use crate::node::Node;

fn log_level(node: &Node, arguments: &[&str]) -> Output {
    let mut command = node.namespace.command(binary().unwrap()).unwrap();
    command.arg("log-level").args(arguments).output().unwrap()
}

fn put(from: &Namespace, address: &str, level: &str) -> u16 {
    request(from, address.parse().unwrap(), "PUT", "/log-level", level).unwrap().status
}

#[test]
fn the_log_level_is_changed_while_the_agent_runs_and_from_this_machine_only() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    let node = Node::new();
    let mut command = node.namespace.command(binary().unwrap()).unwrap();
    command.args([
        "agent",
        "--node-name=node",
        "--admin=0.0.0.0:9470",
        "--max-flows=4096",
        "--max-ring-chunks=4096",
    ]);
    command.arg("--manifests").arg(node.directory.path()).arg("--bpf-dir").arg(node.pins.base());
    let _agent = node.start_as(command);
    let said = |output: &Output| String::from_utf8(output.stdout.clone()).unwrap();
    let before = said(&log_level(&node, &[]));
    assert_eq!(said(&log_level(&node, &["info,lb_sources=debug"])), "info,lb_sources=debug\n");
    let refused = log_level(&node, &["verbose"]);
    assert_eq!(refused.status.code(), Some(1));
    let why = String::from_utf8(refused.stderr).unwrap();
    assert!(why.contains("`verbose` is no level: write off, error, warn"), "{why}");
    assert_eq!(said(&log_level(&node, &[])), "info,lb_sources=debug\n", "what is refused changes nothing");
    assert_eq!(put(&node.namespace, "127.0.0.1:9470", "loud"), 400);
    assert_eq!(put(node.peer(), "192.0.2.1:9470", "off"), 403);
    assert_eq!(said(&log_level(&node, &[before.trim()])), before);
    let nobody = log_level(&node, &["--admin", "127.0.0.1:1"]);
    assert!(String::from_utf8(nobody.stderr).unwrap().contains("does not answer"));
}
