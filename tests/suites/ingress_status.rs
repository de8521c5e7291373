//! Who publishes the addresses of Ingresses, and that nobody ever takes them back: candidates against a server that
//! keeps resource versions as the real one does.
#![allow(clippy::unwrap_used, reason = "a failed assumption is a failed test")]

use std::{collections::BTreeSet, time::Duration};

use lb_model::object::ObjectKey;
use lb_proxy::status::{self, Settings, Timing, Wanted};
use lb_sources::{Cluster, Consumer, SecretSelector, Source};
use lb_tests::{
    api_server::{ApiServer, Fault, Operation, Request, Resource},
    wait::until_async,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{sync::watch, task::JoinHandle, time::Instant};
use tokio_util::sync::CancellationToken;

/// As short as whole seconds allow.
const TIMING: Timing = Timing {
    duration: Duration::from_secs(2),
    renew_deadline: Duration::from_millis(1200),
    retry: Duration::from_millis(200),
};
const LEASE: &str = "sluice/sluice-ingress";

/// A proxy that wants to publish.
struct Proxy {
    wanted: watch::Sender<Wanted>,
    task: JoinHandle<()>,
    stop: CancellationToken,
    _source: JoinHandle<()>,
}

impl Proxy {
    async fn start(server: &ApiServer, identity: &str, wanted: Wanted) -> Self {
        let (stop, files) = (CancellationToken::new(), TempDir::new().unwrap());
        let kubeconfig = files.path().join("config");
        server.write_kubeconfig(&kubeconfig);
        let source = Source::Kubernetes { kubeconfig: Some(kubeconfig), secrets: SecretSelector::default() };
        let feed = source.start(Consumer::Ingress, CancellationToken::new()).await.unwrap();
        let cluster: Cluster = feed.cluster.unwrap();
        let settings = Settings {
            lease: ObjectKey::new("sluice", "sluice-ingress"),
            identity: identity.to_owned(),
            timing: TIMING,
        };
        let (wanted, receiver) = watch::channel(wanted);
        let task = status::start(&cluster, settings, receiver, stop.clone());
        Self { wanted, task, stop, _source: feed.task }
    }

    /// Dies without a word.
    fn kill(self) {
        self.task.abort();
    }

    /// Ends as on SIGTERM.
    async fn stop(self) {
        self.stop.cancel();
        tokio::time::timeout(Duration::from_secs(5), self.task).await.unwrap().unwrap();
    }
}

/// The Ingresses of these names at one address.
fn wanted(address: &str, names: &[&str]) -> Wanted {
    Wanted {
        addresses: vec![address.parse().unwrap()],
        ingresses: names.iter().map(|name| (ObjectKey::new("default", *name), Vec::new())).collect(),
    }
}

async fn server(names: &[&str]) -> ApiServer {
    let server = ApiServer::start().await;
    for name in names {
        server.apply(json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
            "metadata": {"name": name, "namespace": "default"},
            "spec": {"defaultBackend": {"service": {"name": "a", "port": {"number": 80}}}},
        }));
    }
    server
}

fn published(server: &ApiServer, name: &str) -> Vec<String> {
    let object = server.object(Resource::Ingresses, &format!("default/{name}")).unwrap();
    let entries = object["status"]["loadBalancer"]["ingress"].as_array().cloned().unwrap_or_default();
    entries.iter().map(|entry| entry["ip"].as_str().unwrap().to_owned()).collect()
}

fn lease(server: &ApiServer) -> Value {
    server.object(Resource::Leases, LEASE).map(|lease| lease["spec"].clone()).unwrap_or_default()
}

fn holder(server: &ApiServer) -> String {
    lease(server)["holderIdentity"].as_str().unwrap_or_default().to_owned()
}

fn patches(request: &Request) -> bool {
    request.operation == Operation::PatchStatus
}

#[tokio::test]
async fn the_leader_publishes_and_the_other_writes_nothing() {
    let server = server(&["web", "shop"]).await;
    let one = Proxy::start(&server, "one", wanted("203.0.113.1", &["web", "shop"])).await;
    until_async("published", || published(&server, "web") == ["203.0.113.1"]).await;
    until_async("published", || published(&server, "shop") == ["203.0.113.1"]).await;
    let spec = lease(&server);
    assert_eq!((&spec["holderIdentity"], &spec["leaseDurationSeconds"]), (&json!("one"), &json!(2)));
    assert_eq!(spec["leaseTransitions"], 0);
    let _two = Proxy::start(&server, "two", wanted("203.0.113.2", &["web"])).await;
    let renewals = |request: &Request| request.operation == Operation::Update;
    let before = server.count(renewals);
    server.until_requested("ten renewals, longer than the lease lasts", before + 10, renewals).await;
    assert_eq!(holder(&server), "one");
    assert_eq!(server.count(patches), 2, "no more than one for each Ingress");
    one.wanted.send_replace(wanted("203.0.113.9", &["web"]));
    until_async("the new address", || published(&server, "web") == ["203.0.113.9"]).await;
    assert_eq!(published(&server, "shop"), ["203.0.113.1"], "it is not served any more, and stays as it was");
}

#[tokio::test]
async fn when_the_leader_dies_the_other_takes_over_and_nothing_was_cleared() {
    let server = server(&["web"]).await;
    let one = Proxy::start(&server, "one", wanted("203.0.113.1", &["web"])).await;
    until_async("published", || published(&server, "web") == ["203.0.113.1"]).await;
    let two = Proxy::start(&server, "two", wanted("203.0.113.2", &["web"])).await;
    one.kill();
    let died = Instant::now();
    let mut seen = BTreeSet::new();
    until_async("the other", || {
        seen.insert(published(&server, "web"));
        published(&server, "web") == ["203.0.113.2"]
    })
    .await;
    assert!(died.elapsed() > TIMING.duration / 2, "not before the lease has run out");
    assert_eq!(seen.len(), 2, "never anything but one of the two: {seen:?}");
    assert_eq!((holder(&server), &lease(&server)["leaseTransitions"]), ("two".to_owned(), &json!(1)));
    two.stop().await;
}

#[tokio::test]
async fn who_ends_gives_the_lease_up_and_leaves_what_was_published() {
    let server = server(&["web"]).await;
    let one = Proxy::start(&server, "one", wanted("203.0.113.1", &["web"])).await;
    until_async("published", || published(&server, "web") == ["203.0.113.1"]).await;
    one.stop().await;
    assert_eq!(holder(&server), "");
    assert_eq!(published(&server, "web"), ["203.0.113.1"]);
    let ended = Instant::now();
    let _two = Proxy::start(&server, "two", wanted("203.0.113.2", &["web"])).await;
    until_async("the other", || published(&server, "web") == ["203.0.113.2"]).await;
    assert!(ended.elapsed() < TIMING.duration, "at once");
}

#[tokio::test]
async fn without_an_address_nothing_is_published_and_nothing_cleared() {
    let server = server(&["web"]).await;
    let one = Proxy::start(&server, "one", wanted("203.0.113.1", &["web"])).await;
    until_async("published", || published(&server, "web") == ["203.0.113.1"]).await;
    one.wanted.send_replace(Wanted { addresses: vec![], ..wanted("203.0.113.1", &["web"]) });
    let renewals = |request: &Request| request.operation == Operation::Update;
    server.until_requested("renewals", server.count(renewals) + 5, renewals).await;
    assert_eq!((published(&server, "web"), server.count(patches)), (vec!["203.0.113.1".to_owned()], 1));
}

#[tokio::test]
async fn an_ingress_that_changes_while_it_is_written_is_read_again() {
    let server = server(&["web", "gone"]).await;
    server.delete(Resource::Ingresses, "default/gone");
    server.fail(Resource::Ingresses, Operation::PatchStatus, Fault::Status(409), 2);
    let _one = Proxy::start(&server, "one", wanted("203.0.113.1", &["gone", "web"])).await;
    until_async("published", || published(&server, "web") == ["203.0.113.1"]).await;
    assert_eq!(server.count(patches), 3);
}

#[tokio::test]
async fn a_status_that_says_so_already_is_not_written() {
    let server = server(&["web"]).await;
    let mut object = server.object(Resource::Ingresses, "default/web").unwrap();
    object["status"] = json!({"loadBalancer": {"ingress": [{"ip": "203.0.113.1"}]}});
    server.apply(object);
    // The snapshot has not seen it yet.
    let one = Proxy::start(&server, "one", wanted("203.0.113.1", &["web"])).await;
    let gets =
        |request: &Request| (request.resource, request.operation) == (Resource::Ingresses, Operation::Get);
    server.until_requested("a look at the live object", 1, gets).await;
    one.stop().await;
    assert_eq!(server.count(patches), 0);
}

#[tokio::test]
async fn of_two_that_reach_for_the_lease_at_once_one_leads() {
    let server = server(&["web"]).await;
    // Both find no lease; who creates it second is told so.
    let (one, two) = tokio::join!(
        Proxy::start(&server, "one", wanted("203.0.113.1", &["web"])),
        Proxy::start(&server, "two", wanted("203.0.113.2", &["web"])),
    );
    until_async("published", || !published(&server, "web").is_empty()).await;
    let renewals = |request: &Request| request.operation == Operation::Update;
    server.until_requested("renewals", server.count(renewals) + 10, renewals).await;
    assert_eq!((server.count(patches), &lease(&server)["leaseTransitions"]), (1, &json!(0)));
    let expected = if holder(&server) == "one" { "203.0.113.1" } else { "203.0.113.2" };
    assert_eq!(published(&server, "web"), [expected]);
    drop((one, two));
}

#[tokio::test]
async fn a_lease_that_another_took_is_lost_and_conflicts_are_no_end() {
    let server = server(&["web"]).await;
    let one = Proxy::start(&server, "one", wanted("203.0.113.1", &["web"])).await;
    until_async("the lease", || holder(&server) == "one").await;
    // A write in between: the renewal conflicts, and the next one reads first.
    server.fail(Resource::Leases, Operation::Update, Fault::Status(409), 1);
    let renewals = |request: &Request| request.operation == Operation::Update;
    server.until_requested("renewals", server.count(renewals) + 4, renewals).await;
    assert_eq!(holder(&server), "one");
    let looks =
        |request: &Request| (request.resource, request.operation) == (Resource::Leases, Operation::Get);
    let mut stolen = server.object(Resource::Leases, LEASE).unwrap();
    stolen["spec"]["holderIdentity"] = json!("thief");
    server.apply(stolen);
    let since = Instant::now();
    server.until_requested("a look after the loss was noticed", server.count(looks) + 2, looks).await;
    // Nothing that is wanted from now on is written before the thief has been silent for as long as a lease lasts.
    one.wanted.send_replace(wanted("203.0.113.9", &["web"]));
    until_async("the lease again", || published(&server, "web") == ["203.0.113.9"]).await;
    assert!(since.elapsed() > TIMING.duration - TIMING.retry);
    assert_eq!(lease(&server)["leaseTransitions"], 1);
}

#[tokio::test]
async fn a_server_that_fails_longer_than_the_deadline_ends_the_leadership_and_clears_nothing() {
    let server = server(&["web"]).await;
    let one = Proxy::start(&server, "one", wanted("203.0.113.1", &["web"])).await;
    until_async("published", || published(&server, "web") == ["203.0.113.1"]).await;
    let renewed = lease(&server)["renewTime"].clone();
    server.fail(Resource::Leases, Operation::Update, Fault::Status(500), 12);
    let renewals = |request: &Request| request.operation == Operation::Update;
    server.until_requested("failures", server.count(renewals) + 12, renewals).await;
    until_async("the lease again", || lease(&server)["renewTime"] != renewed).await;
    one.wanted.send_replace(wanted("203.0.113.9", &["web"]));
    until_async("published", || published(&server, "web") == ["203.0.113.9"]).await;
    assert_eq!(server.count(patches), 2);
}
