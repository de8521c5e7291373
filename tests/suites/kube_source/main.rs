//! The Kubernetes source against a server that lists, watches, breaks, relists, expires and talks nonsense: snapshots
//! converge on what the server holds, and nothing ever disappears that the server still has.
#![allow(clippy::unwrap_used, reason = "a failed assumption is a failed test")]

mod announcer;
mod cluster;
mod faults;
mod ingress;
mod secrets;

use lb_model::object::Snapshot;
use lb_sources::{Consumer, Error, SecretSelector, Source};
use lb_tests::api_server::{ApiServer, Resource};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use self::cluster::{Cluster, DEADLINE, has, lacks, node, port, service, slice, watches};

#[tokio::test]
async fn the_first_snapshot_waits_for_all_three_lists() {
    let mut gate = None;
    let mut cluster = Cluster::start(|server| gate = Some(server.hold_next_list(Resource::Nodes))).await;
    for resource in [Resource::Services, Resource::EndpointSlices] {
        cluster.server.until_requested("a watch", 1, watches(resource)).await;
    }
    assert_eq!(*cluster.feed.snapshots.borrow(), None, "Nodes are still to come");
    gate.unwrap().notify_one();
    let snapshot = cluster.until("the first snapshot", |_| true).await;
    assert_eq!((snapshot.services.len(), snapshot.slices.len(), snapshot.nodes.len()), (1, 1, 1));
}

#[tokio::test]
async fn additions_changes_and_deletions_arrive() {
    let mut cluster = Cluster::watching(|_| {}).await;
    cluster.server.apply(service("web", 80));
    cluster.until("an addition", has("web")).await;
    cluster.server.apply(service("web", 81));
    cluster.until("a change", |snapshot| port(snapshot, "web") == Some(81)).await;
    cluster.server.apply(slice("web-1", "web", "10.0.0.2"));
    cluster.server.apply(node("b"));
    cluster
        .until("the other kinds", |snapshot| snapshot.slices.len() == 2 && snapshot.nodes.len() == 2)
        .await;
    cluster.server.delete(Resource::Services, "default/web");
    cluster.server.delete(Resource::EndpointSlices, "default/web-1");
    cluster.server.delete(Resource::Nodes, "/b");
    let empty = |snapshot: &Snapshot| {
        (snapshot.services.len(), snapshot.slices.len(), snapshot.nodes.len()) == (1, 1, 1)
    };
    cluster.until("the deletions", empty).await;
    cluster.assert_never_lost_anything();
}

#[tokio::test]
async fn a_burst_of_changes_arrives_as_few_snapshots() {
    let mut cluster = Cluster::watching(|_| {}).await;
    for i in 0..300 {
        cluster.server.apply(service(&format!("burst-{i}"), 80));
    }
    let mut snapshots = 0;
    let all = async {
        while cluster.feed.snapshots.borrow_and_update().as_deref().is_none_or(|s| s.services.len() < 301) {
            cluster.feed.snapshots.changed().await.unwrap();
            snapshots += 1;
        }
    };
    tokio::time::timeout(DEADLINE, all).await.unwrap();
    assert!(snapshots < 100, "{snapshots} snapshots for 300 changes");
}

#[tokio::test]
async fn long_lists_are_read_page_by_page() {
    let mut cluster = Cluster::start(|server| {
        for i in 0..1200 {
            server.apply(service(&format!("many-{i}"), 80));
        }
    })
    .await;
    let snapshot = cluster.until("the first snapshot", |_| true).await;
    assert_eq!(snapshot.services.len(), 1201);
    assert_eq!(cluster.lists(Resource::Services), 3);
}

#[tokio::test]
async fn what_other_proxies_serve_is_not_asked_for_and_leaves_when_labelled() {
    let label = |mut object: Value| {
        object["metadata"]["labels"]["service.kubernetes.io/service-proxy-name"] = json!("other");
        object
    };
    let mut cluster = Cluster::watching(|server| {
        server.apply(label(service("theirs", 80)));
        server.apply(service("ours", 80));
    })
    .await;
    cluster.until("only ours", lacks("theirs")).await;
    cluster.server.apply(label(service("ours", 80)));
    cluster.until("ours gone to another proxy", lacks("ours")).await;
    cluster.server.apply(service("ours", 81));
    cluster.until("ours back", |snapshot| port(snapshot, "ours") == Some(81)).await;
    cluster.assert_never_lost_anything();
}

#[tokio::test]
async fn the_source_ends_when_told_to() {
    let server = ApiServer::start().await;
    let files = TempDir::new().unwrap();
    server.write_kubeconfig(&files.path().join("config"));
    let stop = CancellationToken::new();
    let source = Source::Kubernetes {
        kubeconfig: Some(files.path().join("config")),
        secrets: SecretSelector::default(),
    };
    let feed = source.start(Consumer::Agent, stop.clone()).await.unwrap();
    stop.cancel();
    tokio::time::timeout(DEADLINE, feed.task).await.expect("it ends").unwrap();
    // The streams' senders are gone too.
    let mut status = feed.status;
    tokio::time::timeout(DEADLINE, async { while status.changed().await.is_ok() {} })
        .await
        .expect("streams end");
}

#[tokio::test]
async fn a_configuration_that_can_never_work_is_one_clear_error() {
    let missing = TempDir::new().unwrap().path().join("config");
    let source = Source::Kubernetes { kubeconfig: Some(missing.clone()), secrets: SecretSelector::default() };
    let error = source.start(Consumer::Agent, CancellationToken::new()).await.unwrap_err();
    assert!(matches!(error, Error::Kubeconfig { .. }), "{error:?}");
    assert!(error.to_string().contains(missing.to_str().unwrap()), "{error}");
    let error = Source::Kubernetes { kubeconfig: None, secrets: SecretSelector::default() }
        .start(Consumer::Agent, CancellationToken::new())
        .await
        .unwrap_err();
    assert!(matches!(error, Error::NotInCluster(_)), "{error:?}");
    assert!(error.to_string().contains("--kubeconfig"), "{error}");
}
