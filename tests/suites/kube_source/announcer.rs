//! Events about what is not served, as `kubectl describe` would find them.

use lb_model::object::{ObjectKey, Refusal};
use lb_sources::Announcer;
use lb_tests::api_server::Resource;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::{
    cluster::{Cluster, node},
    ingress::{ingress, proxy},
};

fn refusal(kind: &str, namespace: &str, name: &str, message: &str) -> Refusal {
    Refusal {
        kind: kind.to_owned(),
        object: ObjectKey::new(namespace, name),
        reason: "ExternalIpNotAllowed".to_owned(),
        message: message.to_owned(),
    }
}

/// A cluster with this agent's Node, and an announcer to it.
async fn announcer() -> (Cluster, Announcer) {
    let mut cluster = Cluster::watching(|server| server.apply(node("node-a"))).await;
    let announcer = cluster.feed.cluster.take().unwrap().announcer(
        "sluice.dev/agent",
        "node-a",
        CancellationToken::new(),
    );
    (cluster, announcer)
}

fn of(name: &str) -> impl Fn(&Value) -> bool {
    move |event| event["regarding"]["name"] == name
}

#[tokio::test]
async fn a_refused_service_gets_a_warning_with_its_uid_reason_and_message() {
    let (cluster, announcer) = announcer().await;
    announcer.announce(&[refusal("Service", "default", "anchor", "external IP 192.0.2.9 is not served")]);
    let event = cluster.server.until_event("the Event", of("anchor")).await;
    assert_eq!(event["type"], "Warning");
    assert_eq!(event["reason"], "ExternalIpNotAllowed");
    assert_eq!(event["note"], "external IP 192.0.2.9 is not served");
    assert_eq!(event["reportingController"], "sluice.dev/agent");
    assert_eq!(event["reportingInstance"], "node-a");
    let regarding = &event["regarding"];
    assert_eq!((&regarding["apiVersion"], &regarding["kind"]), (&"v1".into(), &"Service".into()));
    assert!(regarding["uid"].as_str().is_some_and(|uid| uid.starts_with("uid-")), "{event}");
}

#[tokio::test]
async fn the_same_again_is_counted_in_the_event_that_is_there() {
    let (cluster, announcer) = announcer().await;
    let again = [refusal("Service", "default", "anchor", "no")];
    announcer.announce(&again);
    announcer.announce(&again);
    let counted = |event: &Value| event["series"]["count"] == 2;
    cluster.server.until_event("a second observation", counted).await;
    assert_eq!(cluster.server.events().len(), 1);
}

#[tokio::test]
async fn the_same_of_every_node_is_one_event_and_something_else_is_another() {
    let mut cluster = Cluster::watching(|server| server.apply(node("node-a"))).await;
    let api = cluster.feed.cluster.take().unwrap();
    let on = |node: &str| api.clone().announcer("sluice.dev/agent", node, CancellationToken::new());
    on("node-a").announce(&[refusal("Service", "default", "anchor", "no")]);
    let event = cluster.server.until_event("the Event", of("anchor")).await;
    for (node, count) in [("node-b", 2), ("node-c", 3), ("node-a", 4)] {
        on(node).announce(&[refusal("Service", "default", "anchor", "no")]);
        let counted = |event: &Value| event["series"]["count"] == count;
        let known = cluster.server.until_event(&format!("an observation of {node}"), counted).await;
        assert_eq!(known["metadata"]["name"], event["metadata"]["name"]);
        assert_eq!(known["reportingInstance"], "node-a", "who said it first");
    }
    on("node-b").announce(&[refusal("Service", "default", "anchor", "never")]);
    let other = cluster.server.until_event("another Event", |event| event["note"] == "never").await;
    assert_eq!((&other["series"], &other["reportingInstance"]), (&Value::Null, &"node-b".into()));
    assert_eq!(cluster.server.events().len(), 2);
}

#[tokio::test]
async fn what_is_no_object_of_the_cluster_is_told_of_the_node_and_what_is_gone_of_nobody() {
    let (cluster, announcer) = announcer().await;
    announcer.announce(&[
        refusal("Service", "default", "gone", "no"),
        refusal("EndpointSlice", "default", "anchor-1", "no"),
        refusal("ExternalIpPolicy", "", "/etc/sluice/policy.yaml", "broken"),
    ]);
    let event = cluster.server.until_event("the Event of the file", of("node-a")).await;
    assert_eq!((&event["regarding"]["kind"], &event["note"]), (&"Node".into(), &"broken".into()));
    assert_eq!(cluster.server.events().len(), 2, "in order, so the others were tried before");
    assert_eq!(cluster.server.events()[0]["regarding"]["kind"], "EndpointSlice");
}

#[tokio::test]
async fn the_proxy_reports_under_its_own_name_and_reads_no_secret_for_it() {
    let cluster = proxy(|server| server.apply(ingress("web", "a.example", None))).await;
    let (server, api) = (&cluster.server, cluster.feed.cluster.clone().unwrap());
    let announcer = api.announcer("sluice.dev/ingress", "node-a", CancellationToken::new());
    announcer
        .announce(&[refusal("Ingress", "default", "web", "no"), refusal("Secret", "default", "cert", "no")]);
    let event = server.until_event("the Event of the Ingress", of("web")).await;
    assert_eq!(
        (&event["reportingController"], &event["regarding"]["kind"]),
        (&"sluice.dev/ingress".into(), &"Ingress".into())
    );
    assert!(event["regarding"]["uid"].as_str().is_some_and(|uid| uid.starts_with("uid-")), "{event}");
    let event = server.until_event("the Event of the Secret", of("cert")).await;
    assert_eq!(event["regarding"]["kind"], "Secret");
    assert_eq!(server.count(|request| request.resource == Resource::Secrets), 0);
}

#[tokio::test]
async fn without_the_right_to_write_events_nothing_else_suffers() {
    let (mut cluster, announcer) = announcer().await;
    cluster.server.forbid_events();
    for _ in 0..1000 {
        announcer.announce(&[refusal("Service", "default", "anchor", "no")]);
    }
    cluster.server.apply(crate::cluster::service("web", 80));
    cluster.until("changes as ever", crate::cluster::has("web")).await;
    assert_eq!(cluster.server.events(), [Value::Null; 0]);
}
