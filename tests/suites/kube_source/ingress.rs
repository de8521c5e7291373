//! What the source brings to sluice-ingress.

use std::collections::BTreeSet;

use lb_model::{
    ingress::{IngressVersion, PathType},
    object::{ObjectKey, Snapshot},
};
use lb_sources::Consumer;
use lb_tests::api_server::{ApiServer, Resource};
use serde_json::{Value, json};

use crate::cluster::{Cluster, has, service, slice};

/// A cluster seen by the proxy.
pub(crate) async fn proxy(prepare: impl FnOnce(&ApiServer)) -> Cluster {
    Cluster::start_for(Consumer::Ingress, BTreeSet::new(), prepare).await
}

/// An Ingress, with a Secret if one is named.
pub(crate) fn ingress(name: &str, host: &str, secret: Option<&str>) -> Value {
    let tls: Vec<_> =
        secret.map(|secret| json!({"hosts": [host], "secretName": secret})).into_iter().collect();
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"ingressClassName": "sluice", "tls": tls, "rules": [{"host": host, "http": {"paths": [
            {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "anchor", "port": {"number": 80}}}},
        ]}}]},
    })
}

pub(crate) fn host_of(snapshot: &Snapshot, name: &str) -> Option<String> {
    snapshot.ingresses.get(&ObjectKey::new("default", name))?.rules.first()?.host.clone()
}

#[tokio::test]
async fn ingresses_and_classes_are_followed() {
    let mut cluster = proxy(|server| {
        server.apply(ingress("web", "a.example", None));
        server.apply(json!({"apiVersion": "networking.k8s.io/v1", "kind": "IngressClass",
            "metadata": {"name": "sluice"}, "spec": {"controller": "sluice.dev/ingress"}}));
    })
    .await;
    let snapshot = cluster.until("the first snapshot", |_| true).await;
    let web = &snapshot.ingresses[&ObjectKey::new("default", "web")];
    assert_eq!(web.version, IngressVersion::NetworkingV1);
    assert_eq!(web.rules[0].paths[0].path_type, PathType::Prefix);
    assert_eq!(snapshot.ingress_classes["sluice"].controller, "sluice.dev/ingress");
    assert_eq!((snapshot.services.len(), snapshot.slices.len(), snapshot.nodes.len()), (1, 1, 1));
    cluster.server.apply(ingress("web", "b.example", None));
    cluster.until("a change", |snapshot| host_of(snapshot, "web").as_deref() == Some("b.example")).await;
    cluster.server.delete(Resource::Ingresses, "default/web");
    cluster.server.delete(Resource::IngressClasses, "/sluice");
    cluster
        .until("the end of both", |snapshot| {
            snapshot.ingresses.is_empty() && snapshot.ingress_classes.is_empty()
        })
        .await;
    cluster.assert_never_lost_anything();
}

#[tokio::test]
async fn services_without_an_address_and_of_other_proxies_are_followed_with_their_endpoints() {
    let labelled = |mut object: Value, label: &str| {
        object["metadata"]["labels"][label] = json!("");
        object
    };
    let mut headless = service("headless", 80);
    headless["spec"] = json!({"clusterIP": "None", "ports": [{"port": 80}]});
    let mut cluster = proxy(|server| {
        server.apply(headless);
        server.apply(labelled(slice("headless-1", "headless", "10.0.0.2"), "service.kubernetes.io/headless"));
        server.apply(labelled(service("theirs", 80), "service.kubernetes.io/service-proxy-name"));
    })
    .await;
    let snapshot = cluster.until("all", has("theirs")).await;
    assert!(has("headless")(&snapshot));
    assert_eq!(snapshot.slices.len(), 2);
}

#[tokio::test]
async fn a_broken_ingress_is_refused_by_name_and_its_last_good_version_stays() {
    let mut cluster = proxy(|server| server.apply(ingress("web", "a.example", None))).await;
    cluster.until("the first snapshot", |_| true).await;
    let mut broken = ingress("web", "a.example", None);
    broken["spec"]["rules"] = json!("none");
    cluster.server.apply(broken);
    cluster.server.apply(ingress("other", "b.example", None));
    let snapshot = cluster.until("the other", |snapshot| host_of(snapshot, "other").is_some()).await;
    assert_eq!(host_of(&snapshot, "web").as_deref(), Some("a.example"));
    let refusal = &snapshot.refused[0];
    assert_eq!((&*refusal.kind, refusal.object.to_string()), ("Ingress", "default/web".to_owned()));
    assert!(refusal.message.starts_with("spec.rules: "), "{}", refusal.message);
}

#[tokio::test]
async fn the_agent_asks_for_none_of_it() {
    let mut cluster = Cluster::watching(|server| {
        server.apply(ingress("web", "a.example", Some("cert")));
        server.apply(super::secrets::secret("cert", "one"));
    })
    .await;
    let snapshot = cluster.until("the first snapshot", |_| true).await;
    assert!(snapshot.ingresses.is_empty() && snapshot.secrets.is_empty());
    let agents = [Resource::Services, Resource::EndpointSlices, Resource::Nodes];
    assert_eq!(cluster.server.count(|request| !agents.contains(&request.resource)), 0);
}
