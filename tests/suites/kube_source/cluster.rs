//! A server, a source that follows it, and what tests ask of both.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use lb_model::object::{ObjectKey, Snapshot};
use lb_sources::{Consumer, Feed, SecretSelector, Source, Status};
use lb_tests::api_server::{ApiServer, Operation, Request, Resource};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Long enough for a busy machine and some rounds of backoff.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// A server and a source that follows it.
pub(crate) struct Cluster {
    pub(crate) server: ApiServer,
    pub(crate) feed: Feed,
    /// Set once a snapshot lacked the Service `anchor`, which these tests never delete.
    lost_anchor: Arc<AtomicBool>,
    _files: TempDir,
    _stop: DropGuard,
}

impl Cluster {
    /// A server that was prepared, and a source that follows it for the agent.
    pub(crate) async fn start(prepare: impl FnOnce(&ApiServer)) -> Self {
        Self::start_for(Consumer::Agent, BTreeSet::new(), prepare).await
    }

    /// The same for either program; Secrets in `named` are read besides those that Ingresses refer to.
    pub(crate) async fn start_for(
        consumer: Consumer,
        named: BTreeSet<ObjectKey>,
        prepare: impl FnOnce(&ApiServer),
    ) -> Self {
        let server = ApiServer::start().await;
        server.apply(service("anchor", 80));
        server.apply(slice("anchor-1", "anchor", "10.0.0.1"));
        server.apply(node("a"));
        prepare(&server);
        let files = TempDir::new().unwrap();
        let kubeconfig = files.path().join("config");
        server.write_kubeconfig(&kubeconfig);
        let stop = CancellationToken::new();
        let secrets = SecretSelector { named, ..SecretSelector::default() };
        let source = Source::Kubernetes { kubeconfig: Some(kubeconfig), secrets };
        let feed = source.start(consumer, stop.clone()).await.unwrap();
        let lost_anchor = Arc::new(AtomicBool::new(false));
        let (mut snapshots, lost) = (feed.snapshots.clone(), Arc::clone(&lost_anchor));
        tokio::spawn(async move {
            while snapshots.changed().await.is_ok() {
                let anchored =
                    snapshots.borrow_and_update().as_deref().is_none_or(|s| names(s).contains(&"anchor"));
                lost.fetch_or(!anchored, Ordering::Relaxed);
            }
        });
        Self { server, feed, lost_anchor, _files: files, _stop: stop.drop_guard() }
    }

    /// As [`start`](Self::start), with every watch running.
    pub(crate) async fn watching(prepare: impl FnOnce(&ApiServer)) -> Self {
        let mut cluster = Self::start(prepare).await;
        cluster.until("the first snapshot", |_| true).await;
        cluster.until_status("all streams connected", Status::is_connected).await;
        cluster
    }

    pub(crate) async fn until(&mut self, what: &str, fits: impl Fn(&Snapshot) -> bool) -> Arc<Snapshot> {
        let fits = |snapshot: &Option<Arc<Snapshot>>| snapshot.as_deref().is_some_and(&fits);
        if let Ok(found) = tokio::time::timeout(DEADLINE, self.feed.snapshots.wait_for(fits)).await {
            return found.unwrap().clone().unwrap();
        }
        panic!(
            "never saw: {what}; last: {:#?}; {:#?}",
            self.feed.snapshots.borrow(),
            self.feed.status.borrow()
        )
    }

    pub(crate) async fn until_status(&mut self, what: &str, fits: impl Fn(&Status) -> bool) {
        if tokio::time::timeout(DEADLINE, self.feed.status.wait_for(fits)).await.is_err() {
            panic!("never: {what}; last: {:#?}", self.feed.status.borrow());
        }
    }

    /// Number of list requests so far.
    pub(crate) fn lists(&self, resource: Resource) -> usize {
        self.server.count(|request| request.resource == resource && request.operation == Operation::List)
    }

    /// Nothing disappeared on the way.
    pub(crate) fn assert_never_lost_anything(&self) {
        assert!(!self.lost_anchor.load(Ordering::Relaxed), "a snapshot lacked what the server always had");
    }
}

pub(crate) fn service(name: &str, port: u16) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {
            "name": name, "namespace": "default", "creationTimestamp": "2024-01-01T00:00:00Z",
            "managedFields": [{"manager": "test", "operation": "Update"}],
        },
        "spec": {"type": "NodePort", "clusterIP": "10.96.0.1", "ports": [{"port": port, "nodePort": 30080}]},
    })
}

pub(crate) fn slice(name: &str, service: &str, address: &str) -> Value {
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": name, "namespace": "default", "labels": {"kubernetes.io/service-name": service}},
        "ports": [{"port": 8080}], "endpoints": [{"addresses": [address], "nodeName": "a"}],
    })
}

pub(crate) fn node(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": name},
        "status": {"addresses": [{"type": "InternalIP", "address": "192.0.2.1"}]},
    })
}

pub(crate) fn names(snapshot: &Snapshot) -> Vec<&str> {
    snapshot.services.keys().map(|key| key.name.as_str()).collect()
}

pub(crate) fn port(snapshot: &Snapshot, name: &str) -> Option<u16> {
    Some(snapshot.services.get(&ObjectKey::new("default", name))?.ports.first()?.port)
}

pub(crate) fn has(name: &str) -> impl Fn(&Snapshot) -> bool {
    move |snapshot| names(snapshot).contains(&name)
}

pub(crate) fn lacks(name: &str) -> impl Fn(&Snapshot) -> bool {
    move |snapshot| !names(snapshot).contains(&name)
}

pub(crate) fn watches(resource: Resource) -> impl Fn(&Request) -> bool {
    move |request| request.resource == resource && request.operation == Operation::Watch
}
