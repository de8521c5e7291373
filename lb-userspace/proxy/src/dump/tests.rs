//! The text for one configuration with everything in it.

use lb_model::ingress::{
    Ingress,
    PathType::{Exact, ImplementationSpecific, Prefix},
};

use super::*;
use crate::compile::tests::cluster::{Cluster, annotated, backend, endpoint, key, rule, slice, tls};

#[test]
fn a_person_can_read_what_leads_where() {
    let mut cluster = Cluster::new();
    cluster.service("api").service("errors").secret(
        "site",
        include_str!("../../testdata/ec.crt"),
        include_str!("../../testdata/ec-sec1.key"),
    );
    let many = (1..=10).map(|last| endpoint(&format!("10.0.1.{last}"))).collect();
    cluster.snapshot.slices.insert(key("api-1"), slice("api", ("http", 9000), many));
    let site = Ingress {
        tls: vec![tls(&["example.org"], "site")],
        default_backend: Some(backend("web:80")),
        rules: vec![rule(
            Some("example.org"),
            &[("/api", Prefix, "api:http"), ("/api", Exact, "web:80"), ("/gone", Prefix, "nobody:80")],
        )],
        ..Ingress::default()
    };
    let annotations = [
        ("nginx.ingress.kubernetes.io/allowlist-source-range", "10.0.0.0/8,192.0.2.0/24"),
        ("nginx.ingress.kubernetes.io/proxy-body-size", "8m"),
        ("nginx.ingress.kubernetes.io/proxy-read-timeout", "3600"),
        ("nginx.ingress.kubernetes.io/limit-rps", "10"),
        ("nginx.ingress.kubernetes.io/affinity", "cookie"),
        ("nginx.ingress.kubernetes.io/load-balance", "ewma"),
        ("nginx.ingress.kubernetes.io/from-to-www-redirect", "true"),
        ("nginx.ingress.kubernetes.io/default-backend", "errors"),
        ("nginx.ingress.kubernetes.io/proxy-buffering", "off"),
    ];
    cluster.ingress("site", annotated(site, &annotations));
    let regex = Ingress {
        rules: vec![rule(None, &[("/v[0-9]+(/|$)(.*)", ImplementationSpecific, "web:80")])],
        ..Ingress::default()
    };
    let annotations = [
        ("nginx.ingress.kubernetes.io/use-regex", "true"),
        ("nginx.ingress.kubernetes.io/rewrite-target", "/$2"),
    ];
    cluster.ingress("versions", annotated(regex, &annotations));
    let guarded =
        Ingress { rules: vec![rule(Some("*.internal"), &[("/", Prefix, "web:80")])], ..Ingress::default() };
    cluster.ingress("guarded", annotated(guarded, &[("nginx.ingress.kubernetes.io/auth-type", "basic")]));
    insta::assert_snapshot!(Dump(&cluster.compile()));
}

#[test]
fn nothing_is_said_too() {
    insta::assert_snapshot!(Dump(&Cluster::default().compile()), @"no routes: every request is answered 404");
}
