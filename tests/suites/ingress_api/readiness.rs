//! When the proxy says that it is ready, and that requests go where they should from then on.

use std::sync::Arc;

use lb_tests::api_server::{Fault, Operation, Request, Resource};
use tokio::sync::Notify;

use crate::{
    endpoint,
    objects::{apply_service, ingress, secret, with_tls},
    site::{self, Site},
    trust::Trust,
};

#[test]
fn it_is_ready_once_every_list_and_every_secret_was_read() {
    site::run(|site: Site| async move {
        let endpoints = endpoint::start(&site.namespace, 1).await;
        apply_service(&site.server, "web", &endpoints);
        let cert = secret("cert", &["a.example"]);
        site.server.apply(with_tls(ingress("web", "a.example", "web"), &["a.example"], "cert"));
        site.server.apply(ingress("plain", "b.example", "web"));
        site.server.apply(cert.clone());
        let list = site.server.hold_next_list(Resource::EndpointSlices);
        let secret = Arc::new(Notify::new());
        site.server.fail(Resource::Secrets, Operation::Get, Fault::Hold(secret.clone()), 1);
        let proxy = site.spawn(1);
        let is_get = |request: &Request| request.operation == Operation::Get;
        site.server.until_requested("the Secret", 1, is_get).await;
        proxy.until_status("/healthz", 200).await;
        for gate in [list, secret] {
            let missing = proxy.until_status("/readyz", 503).await;
            assert!(missing.contains("first full snapshot"), "{missing}");
            gate.notify_one();
        }
        proxy.until_status("/readyz", 200).await;
        assert_eq!(proxy.get("b.example", "/x").await, (200, "pod-1".to_owned()));
        assert_eq!(proxy.get("c.example", "/").await.0, 404);
        assert_eq!(proxy.get("a.example", "/").await.0, 308, "to https");
        let trust = Trust::new([("cert", &cert)]);
        let answer = proxy.secure_get("a.example", &trust).await;
        assert_eq!(answer, Some(("cert".to_owned(), (200, "pod-1".to_owned()))));
    });
}
