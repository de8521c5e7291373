//! Where requests go that match no rule.

use lb_model::ingress::{BackendPort, Ingress, PathType::Prefix};

use super::cluster::{Cluster, annotated, answer, backend, key, one_host, reasons, rule};
use crate::{compile::DefaultBackend, config::Config};

fn with_default(ingress: Ingress, to: &str) -> Ingress {
    Ingress { default_backend: Some(backend(to)), ..ingress }
}

fn answers<const N: usize>(config: &Config, requests: [(&str, &str); N]) -> [String; N] {
    requests.map(|(host, path)| answer(config, host, path))
}

#[test]
fn an_ingress_without_rules_answers_for_everything() {
    let mut cluster = Cluster::new();
    cluster.ingress("all", with_default(Ingress::default(), "web:80"));
    assert_eq!(answers(&cluster.compile(), [("foo.com", "/"), ("", "/a/b")]), ["web", "web"]);
}

#[test]
fn it_answers_for_paths_of_its_hosts_and_for_what_no_rule_matches() {
    let mut cluster = Cluster::new();
    cluster.service("own").service("all");
    let site =
        Ingress { rules: vec![rule(Some("foo.com"), &[("/a", Prefix, "web:80")])], ..Ingress::default() };
    cluster.ingress("site", with_default(site, "own:80"));
    let requests = [("foo.com", "/a"), ("foo.com", "/b"), ("bar.com", "/")];
    assert_eq!(answers(&cluster.compile(), requests), ["web", "own", "own"]);
    // One without rules is there for just that, and comes before one that has some, though it is younger.
    cluster.ingress("younger", Ingress { created: 9, ..with_default(Ingress::default(), "all:80") });
    let config = cluster.compile();
    assert_eq!(answers(&config, requests), ["web", "own", "all"]);
    assert_eq!(reasons(&config), []);
}

#[test]
fn a_rule_without_paths_leads_all_of_its_host_there() {
    let mut cluster = Cluster::new();
    cluster.service("any").ingress(
        "site",
        with_default(Ingress { rules: vec![rule(Some("foo.com"), &[])], ..Ingress::default() }, "web:80"),
    );
    cluster.ingress(
        "any",
        Ingress { rules: vec![rule(None, &[("/", Prefix, "any:80")])], ..Ingress::default() },
    );
    assert_eq!(answers(&cluster.compile(), [("foo.com", "/x"), ("bar.com", "/x")]), ["web", "any"]);
}

#[test]
fn the_controllers_comes_last_and_without_it_the_answer_is_404() {
    let mut cluster = Cluster::new();
    cluster.service("fallback").ingress("site", one_host("foo.com"));
    assert_eq!(answer(&cluster.compile(), "bar.com", "/"), "404");
    let port = Some(BackendPort::Number(80));
    cluster.settings.default_backend = Some(DefaultBackend { service: key("fallback"), port });
    assert_eq!(answer(&cluster.compile(), "bar.com", "/"), "fallback");
    cluster.service("own").ingress("all", with_default(Ingress::default(), "own:80"));
    assert_eq!(answer(&cluster.compile(), "bar.com", "/"), "own");
    cluster.snapshot.ingresses.remove(&key("all"));
    cluster.snapshot.services.remove(&key("fallback"));
    let config = cluster.compile();
    assert_eq!(answer(&config, "bar.com", "/"), "503");
    assert_eq!(reasons(&config), [("fallback", "ServiceNotFound")]);
}

#[test]
fn of_two_without_rules_the_older_one_answers_and_the_other_is_told() {
    let mut cluster = Cluster::new();
    cluster.service("older");
    cluster.ingress("a", Ingress { created: 2, ..with_default(Ingress::default(), "web:80") });
    cluster.ingress("b", Ingress { created: 1, ..with_default(Ingress::default(), "older:80") });
    let config = cluster.compile();
    assert_eq!(answer(&config, "", "/"), "older");
    assert_eq!(reasons(&config), [("a", "DefaultBackendConflict")]);
}

#[test]
fn a_default_backend_is_not_rewritten() {
    let mut cluster = Cluster::new();
    let ingress = with_default(one_host("foo.com"), "web:80");
    cluster.ingress("site", annotated(ingress, &[("ingress.kubernetes.io/rewrite-target", "/x")]));
    let config = cluster.compile();
    assert!(config.routes.find("foo.com", "/").unwrap().route.rewrite.is_some());
    assert!(config.routes.find("bar.com", "/").unwrap().route.rewrite.is_none());
}

#[test]
fn an_ingress_that_leads_nowhere_is_told() {
    let mut cluster = Cluster::new();
    cluster.ingress("empty", Ingress::default());
    assert_eq!(reasons(&cluster.compile()), [("empty", "NoRules")]);
}

#[test]
fn the_annotation_names_who_answers_in_the_stead_of_endpoints() {
    let mut cluster = Cluster::new();
    cluster.service("errors").service("fallback");
    cluster.settings.default_backend = Some(DefaultBackend { service: key("fallback"), port: None });
    let error_backend = |cluster: &mut Cluster, annotations: &[(&str, &str)]| {
        cluster.ingress("site", annotated(one_host("foo.com"), annotations));
        let config = cluster.compile();
        let route = config.routes.find("foo.com", "/").unwrap().route.clone();
        (route.error_backend.as_ref().map(|upstream| upstream.key.service.clone()), config.refusals.len())
    };
    let named = ("nginx.ingress.kubernetes.io/default-backend", "errors");
    let missing = ("nginx.ingress.kubernetes.io/default-backend", "nobody");
    let statuses = ("nginx.ingress.kubernetes.io/custom-http-errors", "404,503");
    assert_eq!(error_backend(&mut cluster, &[named, statuses]), (Some("errors".to_owned()), 0));
    assert_eq!(error_backend(&mut cluster, &[statuses]), (Some("fallback".to_owned()), 0));
    assert_eq!(error_backend(&mut cluster, &[]), (None, 0));
    assert_eq!(error_backend(&mut cluster, &[missing]), (None, 1));
}
