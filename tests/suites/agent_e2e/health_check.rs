//! `healthCheckNodePort` as an external load balancer meets it.

use std::net::TcpListener;

use lb_tests::{skip, wait};

use crate::node::Node;

const IPV4: &str = "192.0.2.1:32000";
const IPV6: &str = "[::1]:32000";

/// A load balancer's Service of policy Local, and its endpoint with conditions and node of one's choice.
fn manifests(endpoint: &str) -> String {
    format!(
        "
apiVersion: v1
kind: Service
metadata: {{name: lb, namespace: shop}}
spec:
  type: LoadBalancer
  externalTrafficPolicy: Local
  healthCheckNodePort: 32000
  ports: [{{port: 80, nodePort: 30081}}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: lb-1, namespace: shop, labels: {{kubernetes.io/service-name: lb}}}}
addressType: IPv4
ports: [{{port: 8080, protocol: TCP}}]
endpoints: [{{addresses: [10.244.1.2], {endpoint}}}]
"
    )
}

#[test]
fn the_port_tells_whether_this_node_has_endpoints_that_stay_and_closes_with_its_service() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    let node = Node::new();
    node.write("lb.yaml", &manifests("nodeName: node"));
    let _agent = node.start(&[]);
    let answers = |status: u16, count: usize| {
        let body = format!(
            r#"{{"service":{{"namespace":"shop","name":"lb"}},"localEndpoints":{count},"serviceProxyHealthy":true}}"#
        );
        let weight = format!("x-load-balancing-endpoint-weight: {count}");
        wait::until_true(&format!("both families answer {status}"), || {
            [IPV4, IPV6].iter().all(|address| {
                node.http(address, "/").is_some_and(|page| {
                    (page.status, page.body.as_str()) == (status, &body)
                        && page.head.to_lowercase().contains(&weight)
                })
            })
        })
        .unwrap();
    };
    answers(200, 1);
    node.write("lb.yaml", &manifests("nodeName: other"));
    answers(503, 0);
    node.write("lb.yaml", &manifests("nodeName: node"));
    answers(200, 1);
    let terminating = "nodeName: node, conditions: {ready: false, serving: true, terminating: true}";
    node.write("lb.yaml", &manifests(terminating));
    answers(503, 0);
    node.write("lb.yaml", &manifests("nodeName: node").replace("Policy: Local", "Policy: Cluster"));
    wait::until_true("the port is closed", || node.http(IPV4, "/").is_none()).unwrap();
}

/// As beside kube-proxy, which holds the ports of all such Services for good.
#[test]
fn a_port_that_somebody_else_has_is_no_refusal_and_is_taken_once_it_is_free() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    let node = Node::new();
    node.write("lb.yaml", &manifests("nodeName: node"));
    let other = node.namespace.enter(|| TcpListener::bind("0.0.0.0:32000")).unwrap();
    let mut agent = node.start(&[]);
    let free =
        manifests("nodeName: node").replace("32000", "32001").replace("lb", "free").replace("30081", "30082");
    node.write("free.yaml", &free);
    // Ports are opened in order.
    wait::until_true("the port behind it is answered", || node.http("192.0.2.1:32001", "/").is_some())
        .unwrap();
    drop(other);
    wait::until_true("the port is answered", || node.http(IPV4, "/").is_some_and(|page| page.status == 200))
        .unwrap();
    agent.end(nix::sys::signal::Signal::SIGTERM);
    let log = agent.log();
    let said = "health checks are left to the program that has the port";
    assert_eq!(log.matches(said).count(), 1, "said once: {log}");
    assert!(!log.contains("HealthCheckPortUnavailable"), "{log}");
}
