//! Objects as a person would apply them.

use std::net::SocketAddr;

use lb_tests::api_server::ApiServer;
use serde_json::{Value, json};

/// An Ingress whose host leads to port 80 of a Service.
pub(crate) fn ingress(name: &str, host: &str, service: &str) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"ingressClassName": "sluice", "rules": [{"host": host, "http": {"paths": [path("/", service)]}}]},
    })
}

/// An entry of `http.paths`.
pub(crate) fn path(path: &str, service: &str) -> Value {
    json!({
        "path": path, "pathType": "Prefix",
        "backend": {"service": {"name": service, "port": {"number": 80}}},
    })
}

/// An Ingress with an entry of `spec.tls`.
pub(crate) fn with_tls(mut ingress: Value, hosts: &[&str], secret: &str) -> Value {
    ingress["spec"]["tls"] = json!([{"hosts": hosts, "secretName": secret}]);
    ingress
}

/// An Ingress with an annotation.
pub(crate) fn annotated(mut ingress: Value, key: &str, value: &str) -> Value {
    ingress["metadata"]["annotations"][key] = json!(value);
    ingress
}

/// A Secret with a fresh certificate for these hosts.
pub(crate) fn secret(name: &str, hosts: &[&str]) -> Value {
    serde_saphyr::from_str(&lb_tests::ingress::secret(name, hosts).unwrap()).unwrap()
}

/// Another Secret under the name of this one.
pub(crate) fn renamed(mut secret: Value, name: &str) -> Value {
    secret["metadata"]["name"] = json!(name);
    secret
}

/// Applies a Service with port 80 and a slice of endpoints.
pub(crate) fn apply_service(server: &ApiServer, name: &str, ready: &[SocketAddr]) {
    server.apply(json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "default"},
        "spec": {"clusterIP": "10.96.0.10", "ports": [{"name": "http", "port": 80}]},
    }));
    server.apply(slice(name, ready, &[]));
}

/// The EndpointSlice of a Service.
pub(crate) fn slice(service: &str, ready: &[SocketAddr], terminating: &[SocketAddr]) -> Value {
    let endpoint = |address: &SocketAddr, leaves: bool| {
        json!({"addresses": [address.ip()],
            "conditions": {"ready": !leaves, "serving": true, "terminating": leaves}})
    };
    let endpoints = ready.iter().map(|address| endpoint(address, false));
    let endpoints = endpoints.chain(terminating.iter().map(|address| endpoint(address, true)));
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": service, "namespace": "default", "labels": {"kubernetes.io/service-name": service}},
        "ports": [{"name": "http", "port": 8000, "protocol": "TCP"}], "endpoints": endpoints.collect::<Vec<_>>(),
    })
}
