//! The manifests that the project began with, as sources decode them.

use lb_model::ingress::{Ingress, IngressVersion::ExtensionsV1beta1, PathType::ImplementationSpecific};

use super::cluster::{Cluster, annotated, answer, backend, reasons, rule};

fn cluster(name: &str, ingress: Ingress) -> Cluster {
    let mut cluster = Cluster::new();
    for service in ["my-service", "my-service-1", "my-service-2"] {
        cluster.service(service);
    }
    let port = super::cluster::service_port("", 5000);
    let service = lb_model::object::Service { ports: vec![port], ..Default::default() };
    cluster.snapshot.services.insert(super::cluster::key("svc-hello-cisco"), service);
    cluster.ingress(name, Ingress { version: ExtensionsV1beta1, ..ingress });
    cluster
}

/// The path that endpoints see.
fn seen(cluster: &Cluster, host: &str, path: &str) -> String {
    let config = cluster.compile();
    let found = config.routes.find(host, path).unwrap();
    found.route.rewrite.as_ref().unwrap().apply(path, &found.captures)
}

#[test]
fn a_default_backend_alone() {
    let ingress = Ingress { default_backend: Some(backend("my-service:80")), ..Ingress::default() };
    let config = cluster("my-ingress", ingress).compile();
    assert_eq!(answer(&config, "192.0.2.1", "/any/path"), "my-service");
    assert_eq!(reasons(&config), []);
}

#[test]
fn a_path_rewritten_under_the_longer_prefix() {
    let rules = vec![rule(None, &[("/hello-cisco", ImplementationSpecific, "svc-hello-cisco:5000")])];
    let ingress = annotated(
        Ingress { rules, ..Ingress::default() },
        &[("nginx.ingress.kubernetes.io/rewrite-target", "/")],
    );
    let cluster = cluster("ingress-hello-cisco", ingress);
    let config = cluster.compile();
    assert_eq!(reasons(&config), []);
    assert_eq!(answer(&config, "192.0.2.1", "/hello-cisco/style.css"), "svc-hello-cisco");
    assert_eq!(answer(&config, "192.0.2.1", "/"), "404");
    assert_eq!(seen(&cluster, "192.0.2.1", "/hello-cisco"), "/");
    assert_eq!(seen(&cluster, "192.0.2.1", "/hello-cisco/style.css"), "/style.css");
}

#[test]
fn a_host_with_paths_rewritten_under_the_shorter_prefix() {
    let rules = vec![rule(
        Some("foo.bar.com"),
        &[
            ("/foo", ImplementationSpecific, "my-service-1:80"),
            ("/bar", ImplementationSpecific, "my-service-2:80"),
        ],
    )];
    let ingress =
        annotated(Ingress { rules, ..Ingress::default() }, &[("ingress.kubernetes.io/rewrite-target", "/")]);
    let cluster = cluster("my-ingress", ingress);
    let config = cluster.compile();
    assert_eq!(reasons(&config), []);
    let answers = ["/foo", "/foo/x", "/bar", "/fool", "/"].map(|path| answer(&config, "foo.bar.com", path));
    assert_eq!(answers, ["my-service-1", "my-service-1", "my-service-2", "404", "404"]);
    assert_eq!(answer(&config, "bar.com", "/foo"), "404");
    assert_eq!(seen(&cluster, "foo.bar.com", "/bar/x"), "/x");
}
