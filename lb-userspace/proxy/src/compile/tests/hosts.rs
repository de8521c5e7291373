//! Hosts that annotations add.

use lb_model::ingress::{Ingress, PathType::Prefix};

use super::cluster::{Cluster, annotated, answer, one_host, reasons, rule};

const ALIAS: &str = "nginx.ingress.kubernetes.io/server-alias";
const WWW: (&str, &str) = ("nginx.ingress.kubernetes.io/from-to-www-redirect", "true");

#[test]
fn an_alias_has_the_routes_of_its_hosts() {
    let mut cluster = Cluster::new();
    cluster.service("api");
    let rules = vec![rule(Some("foo.com"), &[("/", Prefix, "web:80"), ("/api", Prefix, "api:80")])];
    let ingress = Ingress { rules, ..Ingress::default() };
    cluster.ingress("site", annotated(ingress, &[(ALIAS, "foo.net, *.foo.org")]));
    let config = cluster.compile();
    assert_eq!(reasons(&config), []);
    for host in ["foo.com", "foo.net", "a.foo.org"] {
        assert_eq!([answer(&config, host, "/"), answer(&config, host, "/api/x")], ["web", "api"], "{host}");
    }
}

#[test]
fn two_ingresses_may_share_an_alias() {
    let mut cluster = Cluster::new();
    cluster.service("api");
    let api =
        Ingress { rules: vec![rule(Some("foo.com"), &[("/api", Prefix, "api:80")])], ..Ingress::default() };
    cluster.ingress("a", annotated(one_host("foo.com"), &[(ALIAS, "foo.net")]));
    cluster.ingress("b", annotated(api, &[(ALIAS, "foo.net")]));
    let config = cluster.compile();
    assert_eq!(reasons(&config), []);
    assert_eq!([answer(&config, "foo.net", "/"), answer(&config, "foo.net", "/api")], ["web", "api"]);
}

#[test]
fn an_alias_gives_way_to_a_rule_of_anybody() {
    let mut cluster = Cluster::new();
    cluster.service("theirs");
    let theirs =
        Ingress { rules: vec![rule(Some("foo.net"), &[("/a", Prefix, "theirs:80")])], ..Ingress::default() };
    cluster.ingress("a", annotated(one_host("foo.com"), &[(ALIAS, "foo.net")])).ingress("b", theirs);
    let config = cluster.compile();
    assert_eq!(reasons(&config), [("a", "HostConflict")]);
    assert_eq!([answer(&config, "foo.net", "/a"), answer(&config, "foo.net", "/")], ["theirs", "404"]);
}

#[test]
fn the_other_name_of_a_host_is_redirected_to_it() {
    let mut cluster = Cluster::new();
    cluster.ingress("bare", annotated(one_host("foo.com"), &[WWW]));
    cluster.ingress("www", annotated(one_host("www.bar.com"), &[WWW]));
    cluster.ingress("both", annotated(one_host("both.com"), &[WWW]));
    cluster.ingress("both-www", one_host("www.both.com"));
    let config = cluster.compile();
    assert_eq!(answer(&config, "www.foo.com", "/x"), "308 http://foo.com/x");
    assert_eq!(answer(&config, "bar.com", "/x"), "308 http://www.bar.com/x");
    assert_eq!(answer(&config, "www.both.com", "/x"), "web");
    assert_eq!(answer(&config, "foo.com", "/x"), "web");
    assert_eq!(reasons(&config), []);
}
