//! Services, their ports and endpoints.

use lb_model::{
    ingress::{Ingress, PathType::Prefix},
    object::{Endpoint, Service},
};

use super::cluster::{
    Cluster, annotated, answer, endpoint, key, one_host, reasons, rule, service_port, slice,
};
use crate::config::{Action, Config, Upstream, UpstreamProtocol};

fn upstream<'a>(config: &'a Config, path: &str) -> &'a Upstream {
    match &config.routes.find("foo.com", path).unwrap().route.action {
        Action::Forward(upstream) => upstream,
        other => panic!("{path}: {other:?}"),
    }
}

fn addresses(endpoints: &[crate::config::Endpoint]) -> Vec<String> {
    endpoints.iter().map(|endpoint| endpoint.address.to_string()).collect()
}

fn with_slices(slices: Vec<lb_model::object::EndpointSlice>) -> Config {
    let mut cluster = Cluster::new();
    for (number, slice) in slices.into_iter().enumerate() {
        cluster.snapshot.slices.insert(key(&format!("web-{}", number + 1)), slice);
    }
    cluster.ingress("site", one_host("foo.com"));
    cluster.compile()
}

fn unready(address: &str) -> Endpoint {
    Endpoint { ready: false, serving: false, ..endpoint(address) }
}

fn terminating(address: &str) -> Endpoint {
    Endpoint { ready: false, terminating: true, ..endpoint(address) }
}

#[test]
fn a_port_is_found_by_number_and_by_name_and_is_one_upstream() {
    let mut cluster = Cluster::new();
    let paths = [("/number", Prefix, "web:80"), ("/name", Prefix, "web:http")];
    cluster.ingress("site", Ingress { rules: vec![rule(None, &paths)], ..Ingress::default() });
    let config = cluster.compile();
    assert_eq!(addresses(&upstream(&config, "/number").endpoints), ["10.0.0.1:8080"]);
    assert!(std::ptr::eq(upstream(&config, "/number"), upstream(&config, "/name")));
    assert_eq!(config.upstreams.len(), 1);
}

#[test]
fn a_missing_service_or_port_is_refused_and_the_rest_is_served() {
    let mut cluster = Cluster::new();
    let paths = [
        ("/", Prefix, "web:80"),
        ("/none", Prefix, "nobody:80"),
        ("/port", Prefix, "web:81"),
        ("/name", Prefix, "web:admin"),
    ];
    cluster.ingress("site", Ingress { rules: vec![rule(None, &paths)], ..Ingress::default() });
    let config = cluster.compile();
    let answers: Vec<_> = paths.iter().map(|(path, ..)| answer(&config, "", path)).collect();
    assert_eq!(answers, ["web", "503", "503", "503"]);
    let messages: Vec<_> = config.refusals.iter().map(|refusal| refusal.message.as_str()).collect();
    assert_eq!(
        messages,
        [
            "Service default/web has no TCP port 81; it has 80 (http)",
            "Service default/web has no TCP port admin; it has 80 (http)",
            "Service default/nobody is not there, or is of type ExternalName, which is not served; create it or name another one",
        ]
    );
}

#[test]
fn endpoints_come_from_all_slices_each_once_and_in_order() {
    let config = with_slices(vec![
        slice("web", ("http", 8080), vec![endpoint("10.0.0.2"), endpoint("10.0.0.1"), unready("10.0.0.9")]),
        slice("web", ("http", 8080), vec![endpoint("10.0.0.1"), endpoint("fd00::1")]),
        slice("web", ("http", 9090), vec![endpoint("10.0.0.3")]),
        slice("web", ("admin", 7070), vec![endpoint("10.0.0.4")]),
        slice("other", ("http", 8080), vec![endpoint("10.0.0.5")]),
    ]);
    let expected = ["10.0.0.1:8080", "10.0.0.2:8080", "10.0.0.3:9090", "[fd00::1]:8080"];
    assert_eq!(addresses(&upstream(&config, "/").endpoints), expected);
}

#[test]
fn terminating_endpoints_drain_and_serve_where_none_is_ready() {
    let some =
        with_slices(vec![slice("web", ("http", 80), vec![endpoint("10.0.0.1"), terminating("10.0.0.2")])]);
    assert_eq!(addresses(&upstream(&some, "/").endpoints), ["10.0.0.1:80"]);
    assert_eq!(addresses(&upstream(&some, "/").draining), ["10.0.0.2:80"]);
    let none =
        with_slices(vec![slice("web", ("http", 80), vec![unready("10.0.0.1"), terminating("10.0.0.2")])]);
    assert_eq!(addresses(&upstream(&none, "/").endpoints), ["10.0.0.2:80"]);
    assert_eq!(addresses(&upstream(&none, "/").draining), [""; 0]);
}

#[test]
fn an_endpoint_on_its_way_between_slices_is_as_good_as_the_better_one() {
    let config = with_slices(vec![
        slice("web", ("http", 80), vec![endpoint("10.0.0.1")]),
        slice("web", ("http", 80), vec![unready("10.0.0.1")]),
    ]);
    assert_eq!(addresses(&upstream(&config, "/").endpoints), ["10.0.0.1:80"]);
}

#[test]
fn without_an_endpoint_the_upstream_is_empty_and_nothing_is_refused() {
    let config = with_slices(vec![slice("web", ("http", 80), vec![])]);
    assert!(upstream(&config, "/").endpoints.is_empty());
    assert_eq!(reasons(&config), []);
}

#[test]
fn service_upstream_goes_by_the_cluster_ip() {
    let mut cluster = Cluster::new();
    let ports = vec![service_port("http", 80)];
    let cluster_ips = vec!["10.96.0.1".parse().unwrap()];
    cluster.snapshot.services.insert(key("web"), Service { ports, cluster_ips, ..Service::default() });
    let annotation = [("nginx.ingress.kubernetes.io/service-upstream", "true")];
    cluster.ingress("site", annotated(one_host("foo.com"), &annotation));
    assert_eq!(addresses(&upstream(&cluster.compile(), "/").endpoints), ["10.96.0.1:80"]);
    // A headless Service has none.
    cluster.service("web");
    assert_eq!(addresses(&upstream(&cluster.compile(), "/").endpoints), ["10.0.0.1:8080"]);
}

#[test]
fn the_annotation_decides_how_endpoints_are_spoken_to_then_the_port() {
    let protocol = |app_protocol: Option<&str>, annotation: &[(&str, &str)]| {
        let mut cluster = Cluster::new();
        let mut port = service_port("http", 80);
        port.app_protocol = app_protocol.map(str::to_owned);
        cluster.snapshot.services.insert(key("web"), Service { ports: vec![port], ..Service::default() });
        cluster.ingress("site", annotated(one_host("foo.com"), annotation));
        upstream(&cluster.compile(), "/").key.protocol
    };
    assert_eq!(protocol(None, &[]), UpstreamProtocol::Http);
    assert_eq!(protocol(Some("kubernetes.io/h2c"), &[]), UpstreamProtocol::H2c);
    assert_eq!(protocol(Some("kubernetes.io/ws"), &[]), UpstreamProtocol::Http);
    assert_eq!(protocol(Some("https"), &[]), UpstreamProtocol::Https);
    assert_eq!(protocol(Some("example.org/odd"), &[]), UpstreamProtocol::Http);
    let grpcs = [("nginx.ingress.kubernetes.io/backend-protocol", "GRPCS")];
    assert_eq!(protocol(Some("https"), &grpcs), UpstreamProtocol::Grpcs);
}

#[test]
fn upstreams_of_routes_that_are_gone_are_gone() {
    let mut cluster = Cluster::new();
    cluster.ingress("site", one_host("foo.com"));
    assert_eq!(cluster.compile().upstreams.len(), 1);
    cluster.snapshot.ingresses.remove(&key("site"));
    assert_eq!(cluster.compile().upstreams.len(), 0);
}
