//! An API server that goes away and comes back.

use crate::{
    endpoint,
    objects::{apply_service, ingress, secret, with_tls},
    site::{self, Site},
    trust::Trust,
};

#[test]
fn without_the_api_server_everything_stays_served_and_with_it_changes_are_followed_again() {
    site::run(|site: Site| async move {
        let endpoints = endpoint::start(&site.namespace, 2).await;
        apply_service(&site.server, "web", &endpoints[..1]);
        let cert = secret("cert", &["a.example"]);
        let trust = Trust::new([("cert", &cert)]);
        site.server.apply(cert);
        site.server.apply(with_tls(ingress("web", "a.example", "web"), &["a.example"], "cert"));
        site.server.apply(ingress("plain", "b.example", "web"));
        let proxy = site.start(1).await;
        site.server.set_down(true);
        let log = || proxy.log().contains("what is known stays served");
        lb_tests::wait::until_async("the proxy noticed", log).await;
        apply_service(&site.server, "web", &endpoints[1..]);
        site.server.apply(ingress("new", "c.example", "web"));
        for _ in 0..20 {
            assert_eq!(proxy.get("b.example", "/").await, (200, "pod-1".to_owned()));
            let answer = proxy.secure_get("a.example", &trust).await;
            assert_eq!(answer, Some(("cert".to_owned(), (200, "pod-1".to_owned()))));
        }
        assert_eq!(proxy.get("c.example", "/").await.0, 404, "nobody told of it");
        proxy.until_status("/readyz", 200).await;
        site.server.set_down(false);
        proxy.until_answer("c.example", "/", (200, "pod-2")).await;
        proxy.until_answer("b.example", "/", (200, "pod-2")).await;
    });
}
