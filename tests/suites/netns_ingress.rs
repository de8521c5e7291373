//! From a client through the packet path to a proxy, and on to a pod that is told who the client is.

#![allow(clippy::unwrap_used, reason = "a failed assumption is a failed test")]

use std::net::IpAddr;

use lb_tests::{
    cluster::Cluster,
    ingress::{self, INGRESS_IP, Proxies},
    skip,
    topo::{CLIENT, Node, Routing},
    wait,
};
use tempfile::TempDir;

struct Site {
    cluster: Cluster,
    _proxies: Proxies,
    _logs: TempDir,
}

fn site() -> Site {
    let cluster = Cluster::start(Routing::Native, 2, |_| Vec::new()).unwrap();
    ingress::apply(&cluster.topology, &cluster.manifests).unwrap();
    let logs = TempDir::new().unwrap();
    let proxies = Proxies::start(&cluster, logs.path()).unwrap();
    let site = Site { cluster, _proxies: proxies, _logs: logs };
    for node in &site.cluster.topology.nodes {
        site.cluster.topology.route_vips_to(node).unwrap();
        wait::until_true("the Ingress address answers", || {
            INGRESS_IP.both().into_iter().all(|address| site.get("http", address, None, "/").is_some())
        })
        .unwrap();
    }
    site
}

impl Site {
    /// The body of an answer with status 200.
    fn get(&self, scheme: &str, address: IpAddr, host: Option<&str>, path: &str) -> Option<String> {
        let port = if scheme == "http" { 80 } else { 443 };
        let name = host.unwrap_or("anything.example");
        let address = match address {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => format!("[{address}]"),
        };
        let resolve = format!("{name}:{port}:{address}");
        let url = format!("{scheme}://{name}{path}");
        let arguments = ["--silent", "--fail", "--insecure", "--max-time", "5", "--resolve", &resolve, &url];
        self.cluster.topology.client.run("curl", &arguments).ok()
    }

    /// Each request below, over http and https, in both families: the pods that may answer, and the path that they see.
    fn check(&self, node: &Node) {
        let client = CLIENT.both();
        for (address, client) in INGRESS_IP.both().into_iter().zip(client) {
            for scheme in ["http", "https"] {
                for (host, path, pods, seen) in [
                    (None, "/", &["pod-a1", "pod-b1"][..], "/"),
                    (None, "/any/where?x=1", &["pod-a1", "pod-b1"], "/any/where?x=1"),
                    (Some("foo.bar.com"), "/foo", &["pod-a1"], "/"),
                    (Some("foo.bar.com"), "/foo/below", &["pod-a1"], "/below"),
                    (Some("foo.bar.com"), "/bar", &["pod-b1"], "/"),
                    (None, "/hello-cisco", &["pod-a1", "pod-b1"], "/"),
                    (None, "/hello-cisco/x", &["pod-a1", "pod-b1"], "/x"),
                ] {
                    let what = format!("{scheme} {host:?} {path} at {address} by {}", node.name);
                    let body =
                        self.get(scheme, address, host, path).unwrap_or_else(|| panic!("{what}: no answer"));
                    let expected: Vec<_> =
                        pods.iter().map(|pod| format!("hello from {pod}: {seen} for {client}\n")).collect();
                    assert!(expected.contains(&body), "{what}: {body:?}, not one of {expected:?}");
                }
            }
        }
    }
}

#[test]
fn ingresses_answer_at_an_external_ip_by_either_node_and_pods_are_told_the_clients_address() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    let site = site();
    for node in &site.cluster.topology.nodes {
        site.cluster.topology.route_vips_to(node).unwrap();
        site.check(node);
    }
}
