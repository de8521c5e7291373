//! Secrets: read by name, again and again, and never all of them.

use std::{collections::BTreeSet, sync::Arc};

use lb_model::{
    ingress_class::CONTROLLER,
    object::{ObjectKey, Snapshot},
};
use lb_sources::{Consumer, Status};
use lb_tests::api_server::{Fault, Operation, Request, Resource};
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::{
    cluster::Cluster,
    ingress::{host_of, ingress, proxy},
};

/// A Secret with this certificate.
pub(crate) fn secret(name: &str, certificate: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
        "metadata": {"name": name, "namespace": "default"},
        "stringData": {"tls.crt": certificate, "tls.key": "key"},
    })
}

fn certificate(snapshot: &Snapshot, name: &str) -> Option<String> {
    let secret = snapshot.secrets.get(&ObjectKey::new("default", name))?;
    Some(String::from_utf8(secret.certificate.clone()).unwrap())
}

fn gets(name: &str) -> impl Fn(&Request) -> bool {
    let key = format!("default/{name}");
    move |request| {
        (request.resource, request.operation, &request.key) == (Resource::Secrets, Operation::Get, &key)
    }
}

fn assert_all_by_name(cluster: &Cluster) {
    let others =
        |request: &Request| request.resource == Resource::Secrets && request.operation != Operation::Get;
    assert_eq!(cluster.server.count(others), 0, "a Secret is only ever asked for by its name");
}

#[tokio::test]
async fn the_first_snapshot_has_the_secrets_that_ingresses_refer_to_and_no_others() {
    let mut cluster = proxy(|server| {
        server.apply(ingress("web", "a.example", Some("cert")));
        server.apply(ingress("more", "b.example", Some("absent")));
        server.apply(secret("cert", "one"));
        server.apply(secret("other", "two"));
    })
    .await;
    let snapshot = cluster.until("the first snapshot", |_| true).await;
    assert_eq!(certificate(&snapshot, "cert").as_deref(), Some("one"));
    assert_eq!(snapshot.secrets.len(), 1);
    assert_eq!(cluster.server.count(gets("other")), 0);
    cluster.until_status("all streams connected", Status::is_connected).await;
    assert_all_by_name(&cluster);
}

#[tokio::test]
async fn without_tls_the_first_snapshot_waits_for_no_secret() {
    let mut cluster = proxy(|server| server.apply(ingress("web", "a.example", None))).await;
    cluster.until("the first snapshot", |_| true).await;
    cluster.until_status("all streams connected", Status::is_connected).await;
}

#[tokio::test]
async fn a_secret_that_is_asked_for_by_name_is_read_without_an_ingress() {
    let extra = BTreeSet::from([ObjectKey::new("default", "fallback")]);
    let mut cluster =
        Cluster::start_for(Consumer::Ingress, extra, |server| server.apply(secret("fallback", "one"))).await;
    let snapshot = cluster.until("the first snapshot", |_| true).await;
    assert_eq!(certificate(&snapshot, "fallback").as_deref(), Some("one"));
}

#[tokio::test]
async fn changes_and_deletions_are_seen_within_one_round() {
    let mut cluster = proxy(|server| {
        server.apply(ingress("web", "a.example", Some("cert")));
        server.apply(secret("cert", "one"));
    })
    .await;
    cluster.until("the first snapshot", |_| true).await;
    cluster.server.apply(secret("cert", "two"));
    cluster.until("the change", |snapshot| certificate(snapshot, "cert").as_deref() == Some("two")).await;
    cluster.server.delete(Resource::Secrets, "default/cert");
    cluster.until("the deletion", |snapshot| certificate(snapshot, "cert").is_none()).await;
    assert_eq!(cluster.server.count(gets("cert")), 3, "ten seconds apart");
    assert_all_by_name(&cluster);
}

#[tokio::test]
async fn a_new_name_is_asked_for_at_once_and_one_that_nobody_wants_no_more_is_forgotten() {
    let mut cluster = proxy(|server| {
        server.apply(ingress("web", "a.example", Some("cert")));
        server.apply(secret("cert", "one"));
        server.apply(secret("next", "two"));
    })
    .await;
    cluster.until("the first snapshot", |_| true).await;
    cluster.server.apply(ingress("web", "a.example", Some("next")));
    let snapshot = cluster.until("the new name", |snapshot| certificate(snapshot, "next").is_some()).await;
    assert_eq!(certificate(&snapshot, "cert"), None);
    assert_eq!((cluster.server.count(gets("cert")), cluster.server.count(gets("next"))), (1, 1));
}

#[tokio::test]
async fn one_that_may_not_be_read_is_refused_by_name_and_what_was_read_stays() {
    let mut cluster = proxy(|server| {
        server.apply(ingress("web", "a.example", Some("cert")));
        server.apply(secret("cert", "one"));
    })
    .await;
    cluster.until("the first snapshot", |_| true).await;
    cluster.server.fail(Resource::Secrets, Operation::Get, Fault::Status(403), 1);
    let snapshot = cluster.until("the refusal", |snapshot| !snapshot.refused.is_empty()).await;
    let refusal = &snapshot.refused[0];
    assert_eq!((&*refusal.kind, refusal.object.to_string()), ("Secret", "default/cert".to_owned()));
    assert_eq!(refusal.reason, "Forbidden");
    assert!(refusal.message.contains("allow get") && refusal.message.contains("last good"), "{refusal:?}");
    assert_eq!(certificate(&snapshot, "cert").as_deref(), Some("one"));
    cluster.until("the right again", |snapshot| snapshot.refused.is_empty()).await;
}

#[tokio::test]
async fn a_server_that_fails_is_asked_again_and_nothing_is_lost() {
    let mut cluster = proxy(|server| {
        server.apply(ingress("web", "a.example", Some("cert")));
        server.apply(secret("cert", "one"));
        server.fail(Resource::Secrets, Operation::Get, Fault::Status(500), 1);
        server.fail(Resource::Secrets, Operation::Get, Fault::Close, 1);
    })
    .await;
    let snapshot = cluster.until("the first snapshot", |_| true).await;
    assert_eq!(certificate(&snapshot, "cert").as_deref(), Some("one"), "two failures are no answer");
    assert_eq!(cluster.feed.status.borrow().streams["Secret"].errors, 2);
}

#[tokio::test]
async fn a_secret_that_cannot_be_had_holds_up_nothing_else() {
    let mut cluster = proxy(|server| {
        server.apply(ingress("web", "a.example", Some("cert")));
        server.apply(secret("cert", "one"));
        server.fail(Resource::Secrets, Operation::Get, Fault::Status(500), 3);
    })
    .await;
    let snapshot = cluster.until("the first snapshot", |_| true).await;
    assert!(host_of(&snapshot, "web").is_some() && snapshot.secrets.is_empty());
    cluster.until("the Secret after all", |snapshot| certificate(snapshot, "cert").is_some()).await;
}

#[tokio::test]
async fn a_name_that_would_lead_elsewhere_is_never_asked_for() {
    let mut cluster =
        proxy(|server| server.apply(ingress("web", "a.example", Some("../../kube-system/secrets/x")))).await;
    let snapshot = cluster.until("the first snapshot", |_| true).await;
    assert!(snapshot.refused[0].message.starts_with("spec.tls[0].secretName: "), "{:?}", snapshot.refused);
    assert_eq!(cluster.server.count(|request| request.resource == Resource::Secrets), 0);
}

#[tokio::test]
async fn a_new_ingress_is_not_judged_before_its_secret_was_asked_for() {
    let mut cluster = proxy(|server| server.apply(secret("cert", "one"))).await;
    cluster.until("the first snapshot", |_| true).await;
    let gate = Arc::new(Notify::new());
    cluster.server.fail(Resource::Secrets, Operation::Get, Fault::Hold(gate.clone()), 1);
    cluster.server.apply(ingress("web", "a.example", Some("cert")));
    cluster.server.until_requested("the Secret", 1, gets("cert")).await;
    cluster.server.apply(ingress("plain", "b.example", None));
    let snapshot = cluster.until("what needs no Secret", |s| host_of(s, "plain").is_some()).await;
    assert_eq!(host_of(&snapshot, "web"), None, "it waits for the answer");
    gate.notify_one();
    let snapshot = cluster.until("the Ingress", |s| host_of(s, "web").is_some()).await;
    assert_eq!(certificate(&snapshot, "cert").as_deref(), Some("one"), "both at once");
}

#[tokio::test]
async fn an_ingress_that_names_another_secret_keeps_its_own_until_there_is_an_answer() {
    let mut cluster = proxy(|server| {
        server.apply(ingress("web", "a.example", Some("cert")));
        server.apply(secret("cert", "one"));
    })
    .await;
    cluster.until("the first snapshot", |_| true).await;
    let gate = Arc::new(Notify::new());
    cluster.server.fail(Resource::Secrets, Operation::Get, Fault::Hold(gate.clone()), 1);
    cluster.server.apply(ingress("web", "c.example", Some("absent")));
    cluster.server.until_requested("the other Secret", 1, gets("absent")).await;
    cluster.server.apply(ingress("plain", "b.example", None));
    let snapshot = cluster.until("what needs no Secret", |s| host_of(s, "plain").is_some()).await;
    assert_eq!(host_of(&snapshot, "web").as_deref(), Some("a.example"));
    assert_eq!(certificate(&snapshot, "cert").as_deref(), Some("one"));
    gate.notify_one();
    // That there is no such Secret is an answer, too.
    let changed = |s: &Snapshot| host_of(s, "web").as_deref() == Some("c.example");
    let snapshot = cluster.until("the change", changed).await;
    assert!(snapshot.secrets.is_empty());
}

#[tokio::test]
async fn secrets_of_other_controllers_ingresses_are_not_asked_for_before_they_are_ours() {
    let theirs = |host| {
        let mut object = ingress("theirs", host, Some("theirs"));
        object["spec"]["ingressClassName"] = json!("nginx");
        object
    };
    let mut cluster = proxy(|server| {
        server.apply(ingress("web", "a.example", Some("cert")));
        server.apply(secret("cert", "one"));
        server.apply(theirs("b.example"));
        server.apply(secret("theirs", "two"));
    })
    .await;
    cluster.until("the first snapshot", |_| true).await;
    cluster.server.apply(theirs("c.example"));
    cluster.until("a change", |s| host_of(s, "theirs").as_deref() == Some("c.example")).await;
    assert_eq!((cluster.server.count(gets("cert")), cluster.server.count(gets("theirs"))), (1, 0));
    // Ours by its class, without a word from the Ingress.
    cluster.server.apply(json!({"apiVersion": "networking.k8s.io/v1", "kind": "IngressClass",
        "metadata": {"name": "nginx"}, "spec": {"controller": CONTROLLER}}));
    let is_judged = |s: &Snapshot| s.ingress_classes.contains_key("nginx") && host_of(s, "theirs").is_some();
    let snapshot = cluster.until("the class and the Ingress", is_judged).await;
    assert_eq!(certificate(&snapshot, "theirs").as_deref(), Some("two"));
}

#[tokio::test]
async fn a_change_of_the_ingress_has_its_secret_read_again_soon() {
    let mut cluster = proxy(|server| {
        server.apply(ingress("web", "a.example", Some("cert")));
        server.apply(secret("cert", "one"));
    })
    .await;
    cluster.until("the first snapshot", |_| true).await;
    let start = tokio::time::Instant::now();
    cluster.server.apply(secret("cert", "two"));
    cluster.server.apply(ingress("web", "b.example", Some("cert")));
    cluster.until("the content", |snapshot| certificate(snapshot, "cert").as_deref() == Some("two")).await;
    assert!(start.elapsed() < std::time::Duration::from_secs(8), "without the change it takes ten seconds");
}
