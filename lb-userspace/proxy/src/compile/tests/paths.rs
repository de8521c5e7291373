//! Rules, their order, and regular expressions.

use lb_model::ingress::{
    Ingress, IngressBackend, IngressPath,
    PathType::{Exact, ImplementationSpecific, Prefix},
};

use super::cluster::{Cluster, annotated, answer, one_host, reasons, rule};

#[test]
fn the_oldest_ingress_wins_a_tie_then_the_first_by_name() {
    let mut cluster = Cluster::new();
    for name in ["a", "b", "c"] {
        cluster.service(name);
    }
    let ingress = |created, to| Ingress {
        created,
        rules: vec![rule(Some("foo.com"), &[("/", Prefix, to)])],
        ..Ingress::default()
    };
    cluster
        .ingress("a", ingress(30, "a:80"))
        .ingress("b", ingress(20, "b:80"))
        .ingress("c", ingress(20, "c:80"));
    let config = cluster.compile();
    assert_eq!(answer(&config, "foo.com", "/"), "b");
    assert_eq!(reasons(&config), [("a", "PathConflict"), ("c", "PathConflict")]);
    assert!(
        config.refusals[0].message.contains("path / of foo.com is that of Ingress default/b"),
        "{config:?}"
    );
}

#[test]
fn a_path_that_is_there_twice_counts_once() {
    let mut cluster = Cluster::new();
    cluster.service("other");
    let rules = vec![
        rule(None, &[("/a", Prefix, "web:80")]),
        rule(None, &[("/a", ImplementationSpecific, "other:80"), ("/a", Exact, "other:80")]),
    ];
    cluster.ingress("twice", Ingress { rules, ..Ingress::default() });
    let config = cluster.compile();
    assert_eq!(answer(&config, "foo.com", "/a/b"), "web");
    assert_eq!(answer(&config, "foo.com", "/a"), "other");
    assert_eq!(reasons(&config), [("twice", "PathConflict")]);
}

#[test]
fn paths_that_no_request_has_are_refused_and_the_rest_is_served() {
    let mut cluster = Cluster::new();
    let paths = [("/a//b", Prefix, "web:80"), ("c", Exact, "web:80"), ("/d e", Prefix, "web:80")];
    cluster.ingress("odd", Ingress { rules: vec![rule(None, &paths)], ..Ingress::default() });
    let config = cluster.compile();
    assert_eq!(reasons(&config), [("odd", "InvalidPath"), ("odd", "InvalidPath")]);
    assert_eq!(answer(&config, "", "/d%20e/f"), "web");
    assert_eq!(answer(&config, "", "/a/b"), "404");
}

#[test]
fn regular_expressions_hold_for_their_own_ingress_only() {
    let mut cluster = Cluster::new();
    cluster.service("plain");
    let paths =
        [("/v[0-9]", ImplementationSpecific, "web:80"), ("/x.y", Prefix, "web:80"), ("/E.", Exact, "web:80")];
    let ingress = Ingress { rules: vec![rule(Some("foo.com"), &paths)], ..Ingress::default() };
    cluster.ingress("regex", annotated(ingress, &[("nginx.ingress.kubernetes.io/use-regex", "true")]));
    let paths = [("/w[0-9]", ImplementationSpecific, "plain:80"), ("/abc", Prefix, "plain:80")];
    cluster.ingress("plain", Ingress { rules: vec![rule(Some("foo.com"), &paths)], ..Ingress::default() });
    let config = cluster.compile();
    assert_eq!(reasons(&config), []);
    for (path, expected) in [
        ("/v1", "web"),
        ("/v1/x", "web"),
        ("/V1", "404"),
        ("/x.y", "web"),
        ("/xzy", "404"),
        ("/E.", "web"),
        ("/Ex", "404"),
        // Neither a regular expression nor a prefix of characters.
        ("/w1", "404"),
        ("/abcd", "404"),
        ("/abc/d", "plain"),
    ] {
        assert_eq!(answer(&config, "foo.com", path), expected, "{path}");
    }
}

#[test]
fn a_rewritten_path_that_can_only_be_a_regular_expression_is_one() {
    let mut cluster = Cluster::new();
    let paths = [("/foo(/|$)(.*)", Prefix, "web:80"), ("/bar", ImplementationSpecific, "web:80")];
    let ingress = Ingress { rules: vec![rule(None, &paths)], ..Ingress::default() };
    cluster
        .ingress("rewritten", annotated(ingress, &[("nginx.ingress.kubernetes.io/rewrite-target", "/$2")]));
    let config = cluster.compile();
    let found = config.routes.find("", "/foo/x/y").unwrap();
    assert_eq!(found.route.rewrite.as_ref().unwrap().apply("/foo/x/y", &found.captures), "/x/y");
    assert_eq!(answer(&config, "", "/barbar"), "404");
    assert_eq!(answer(&config, "", "/bar/bar"), "web");
}

#[test]
fn a_regular_expression_that_cannot_be_used_takes_nothing_with_it() {
    let mut cluster = Cluster::new();
    let paths = [("/a(?!b)", ImplementationSpecific, "web:80"), ("/c", ImplementationSpecific, "web:80")];
    let ingress = Ingress { rules: vec![rule(None, &paths)], ..Ingress::default() };
    cluster.ingress("bad", annotated(ingress, &[("nginx.ingress.kubernetes.io/use-regex", "true")]));
    let config = cluster.compile();
    assert_eq!(reasons(&config), [("bad", "InvalidPattern")]);
    assert!(config.refusals[0].message.contains("look-around"), "{}", config.refusals[0].message);
    assert_eq!(answer(&config, "", "/c"), "web");
}

#[test]
fn an_ingress_has_so_many_regular_expressions_and_no_more() {
    let mut cluster = Cluster::new();
    let texts: Vec<String> = (0..101).map(|number| format!("/n{number}$")).collect();
    let paths: Vec<_> = texts.iter().map(|text| (text.as_str(), ImplementationSpecific, "web:80")).collect();
    let ingress = Ingress { rules: vec![rule(None, &paths)], ..Ingress::default() };
    cluster.ingress("many", annotated(ingress, &[("nginx.ingress.kubernetes.io/use-regex", "true")]));
    let config = cluster.compile();
    assert_eq!(reasons(&config), [("many", "InvalidPattern")]);
    assert_eq!(answer(&config, "", "/n99"), "web");
    assert_eq!(answer(&config, "", "/n100"), "404");
}

#[test]
fn a_resource_backend_is_refused_by_name() {
    let mut cluster = Cluster::new();
    let backend = IngressBackend::Resource { kind: "StorageBucket".to_owned(), name: "icons".to_owned() };
    let mut ingress = one_host("foo.com");
    ingress.rules[0].paths.push(IngressPath { path: "/icons".to_owned(), path_type: Prefix, backend });
    cluster.ingress("mixed", ingress);
    let config = cluster.compile();
    assert_eq!(reasons(&config), [("mixed", "ResourceBackend")]);
    assert_eq!(answer(&config, "foo.com", "/icons/a"), "503");
    assert_eq!(answer(&config, "foo.com", "/"), "web");
}

#[test]
fn ingresses_of_other_classes_are_nothing_to_us() {
    let mut cluster = Cluster::new();
    cluster.ingress("theirs", Ingress { class: Some("nginx".to_owned()), ..one_host("foo.com") });
    let config = cluster.compile();
    assert_eq!(answer(&config, "foo.com", "/"), "404");
    assert_eq!(reasons(&config), []);
}
