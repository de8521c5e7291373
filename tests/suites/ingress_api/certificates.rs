//! Certificates out of Secrets that change.

use lb_tests::api_server::Resource;

use crate::{
    endpoint,
    objects::{annotated, apply_service, ingress, renamed, secret, with_tls},
    site::{self, Site},
    trust::Trust,
};

#[test]
fn a_secret_that_changes_is_served_and_one_that_goes_costs_its_own_host_alone() {
    site::run(|site: Site| async move {
        let endpoints = endpoint::start(&site.namespace, 1).await;
        apply_service(&site.server, "web", &endpoints);
        let one = secret("cert", &["a.example"]);
        let two = renamed(secret("two", &["a.example"]), "cert");
        let other = secret("other", &["b.example"]);
        let trust = Trust::new([("one", &one), ("two", &two), ("other", &other)]);
        site.server.apply(with_tls(ingress("web", "a.example", "web"), &["a.example"], "cert"));
        site.server.apply(with_tls(ingress("other", "b.example", "web"), &["b.example"], "other"));
        site.server.apply(one);
        site.server.apply(other);
        let proxy = site.start(1).await;
        proxy.until_certificate("a.example", &trust, "one").await;
        // By itself, within one round of reading.
        site.server.apply(two);
        proxy.until_certificate("a.example", &trust, "two").await;
        // Sooner where the Ingress is touched.
        site.server.delete(Resource::Secrets, "default/cert");
        let web = with_tls(ingress("web", "a.example", "web"), &["a.example"], "cert");
        site.server.apply(annotated(web, "example.org/note", "renew"));
        let gone = |event: &serde_json::Value| event["reason"] == "SecretNotFound";
        let event = site.server.until_event("the Secret is gone", gone).await;
        assert_eq!(event["regarding"]["name"], "web");
        assert!(proxy.secure_get("a.example", &trust).await.is_none());
        let answer = proxy.secure_get("b.example", &trust).await;
        assert_eq!(answer, Some(("other".to_owned(), (200, "pod-1".to_owned()))));
    });
}
