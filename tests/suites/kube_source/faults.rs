//! A server that fails in every way that real ones do.

use std::time::{Duration, Instant};

use lb_model::object::Snapshot;
use lb_sources::Status;
use lb_tests::api_server::{Fault, Gone, Operation, Request, Resource};
use serde_json::{Value, json};

use super::cluster::{Cluster, has, lacks, names, node, port, service, watches};

#[tokio::test]
async fn a_watch_that_the_server_ends_goes_on_where_it_was() {
    let mut cluster = Cluster::watching(|_| {}).await;
    for i in 0..3 {
        cluster.server.apply(service(&format!("before-{i}"), 80));
        cluster.server.end_watches();
        cluster.server.apply(service(&format!("after-{i}"), 80));
        cluster.until("the change behind the end", has(&format!("after-{i}"))).await;
    }
    assert_eq!(cluster.lists(Resource::Services), 1, "no list was needed");
    cluster.assert_never_lost_anything();
}

#[tokio::test]
async fn an_event_that_is_cut_off_comes_again() {
    let mut cluster = Cluster::watching(|_| {}).await;
    cluster.server.cut_next_event(Resource::Services);
    cluster.server.apply(service("web", 80));
    cluster.until("the event", has("web")).await;
    assert_eq!(cluster.lists(Resource::Services), 1, "no list was needed");
    cluster.assert_never_lost_anything();
}

#[tokio::test]
async fn a_server_that_is_down_takes_nothing_with_it() {
    let mut cluster = Cluster::watching(|_| {}).await;
    cluster.server.set_down(true);
    let failed_often = |status: &Status| status.streams.values().all(|s| !s.connected && s.errors > 3);
    cluster.until_status("every stream broken", failed_often).await;
    cluster.server.apply(service("meanwhile", 80));
    cluster.until("what was known", has("anchor")).await;
    cluster.server.set_down(false);
    cluster.until("what happened meanwhile", has("meanwhile")).await;
    cluster.until_status("connected again", Status::is_connected).await;
    let status = cluster.feed.status.borrow().clone();
    for stream in status.streams.values() {
        assert!(
            stream.errors > 0 && stream.last_error.is_some() && stream.last_event.is_some(),
            "{status:?}"
        );
    }
    assert_eq!(cluster.lists(Resource::Services), 1, "no list was needed");
    cluster.assert_never_lost_anything();
}

async fn survives_expiry(gone: Gone) {
    let mut cluster = Cluster::watching(|server| server.apply(service("old", 80))).await;
    cluster.server.set_down(true);
    cluster.server.delete(Resource::Services, "default/old");
    cluster.server.apply(service("new", 80));
    cluster.server.expire(gone);
    cluster.server.set_down(false);
    let snapshot =
        cluster.until("the server's state", |snapshot| has("new")(snapshot) && lacks("old")(snapshot)).await;
    assert_eq!(names(&snapshot), ["anchor", "new"]);
    assert!(cluster.lists(Resource::Services) >= 2, "the way from the old version is lost");
    cluster.server.apply(service("newer", 80));
    cluster.until("the watch after the list", has("newer")).await;
    cluster.assert_never_lost_anything();
}

#[tokio::test]
async fn an_expired_version_told_by_an_event_leads_to_a_new_list() {
    survives_expiry(Gone::Event).await;
}

#[tokio::test]
async fn an_expired_version_told_by_http_leads_to_a_new_list() {
    survives_expiry(Gone::Http).await;
}

#[tokio::test]
async fn a_running_watch_that_expires_leads_to_a_new_list() {
    let mut cluster = Cluster::watching(|_| {}).await;
    cluster.server.send_error(Resource::Services, 410);
    cluster.server.apply(service("web", 80));
    cluster.until("the change", has("web")).await;
    cluster.server.until_requested("a watch after the list", 2, watches(Resource::Services)).await;
    assert_eq!(cluster.lists(Resource::Services), 2);
    cluster.assert_never_lost_anything();
}

#[tokio::test]
async fn bookmarks_keep_a_quiet_watch_from_expiring() {
    let mut cluster = Cluster::watching(|_| {}).await;
    // Services stay quiet while Nodes move the version on, and history up to there is forgotten.
    cluster.server.apply(node("b"));
    cluster.server.bookmark();
    cluster.server.expire(Gone::Http);
    cluster.server.end_watches();
    cluster.server.until_requested("the next watch", 2, watches(Resource::Services)).await;
    cluster.server.apply(service("web", 80));
    cluster.until("a change after the bookmark", has("web")).await;
    assert_eq!(cluster.lists(Resource::Services), 1, "the bookmark spared a list");
}

#[tokio::test]
async fn a_list_that_is_cut_short_replaces_nothing() {
    let mut cluster = Cluster::watching(|server| {
        for i in 0..600 {
            server.apply(service(&format!("many-{i}"), 80));
        }
    })
    .await;
    let before = cluster.until("all", |snapshot| snapshot.services.len() == 601).await;
    // The first page of the next list arrives, the second waits.
    cluster.server.fail(Resource::Services, Operation::List, Fault::Body(first_page()), 1);
    cluster.server.fail(Resource::Services, Operation::List, Fault::Close, 1);
    cluster.server.send_error(Resource::Services, 410);
    let second_page = |request: &Request| request.query.get("continue").is_some_and(|token| token == "more");
    cluster.server.until_requested("the second page", 1, second_page).await;
    cluster
        .until_status("the failed list", |status| {
            status.streams["Service"]
                .last_error
                .as_deref()
                .is_some_and(|error| error.starts_with("list of Services"))
        })
        .await;
    assert_eq!(cluster.feed.snapshots.borrow().as_deref(), Some(&*before));
    cluster.server.apply(service("web", 80));
    let snapshot = cluster.until("the complete list", has("web")).await;
    assert_eq!(snapshot.services.len(), 602);
    cluster.assert_never_lost_anything();
}

fn first_page() -> String {
    let page =
        json!({"kind": "ServiceList", "metadata": {"resourceVersion": "1", "continue": "more"}, "items": []});
    page.to_string()
}

#[tokio::test]
async fn pages_that_expire_under_way_start_the_list_over() {
    let mut cluster = Cluster::start(|server| {
        // A first page whose continuation the server does not know (any more): 410.
        server.fail(Resource::Services, Operation::List, Fault::Body(first_page()), 1);
    })
    .await;
    let snapshot = cluster.until("the first snapshot", |_| true).await;
    assert_eq!(names(&snapshot), ["anchor"]);
    assert_eq!(cluster.lists(Resource::Services), 3);
}

#[tokio::test]
async fn an_undecodable_object_is_refused_by_name_and_blocks_nothing() {
    let broken = |name: &str| {
        let mut object = service(name, 80);
        object["spec"]["ports"] = json!("eighty");
        object
    };
    let mut cluster = Cluster::watching(|server| {
        server.apply(broken("listed"));
        server.apply_raw(
            Resource::Services,
            "labels",
            json!({"metadata": {"name": "labels", "labels": [1]}}),
        );
        server.apply_raw(Resource::EndpointSlices, "number", json!(3));
        server.apply_raw(Resource::Nodes, "null", Value::Null);
    })
    .await;
    let snapshot = cluster.until("the first snapshot", |_| true).await;
    assert_eq!(names(&snapshot), ["anchor"]);
    let refused = |snapshot: &Snapshot| -> Vec<String> {
        snapshot.refused.iter().map(|refusal| format!("{} {}", refusal.kind, refusal.object)).collect()
    };
    assert_eq!(
        refused(&snapshot),
        ["Service default/labels", "Service default/listed", "EndpointSlice default/", "Node "]
    );
    cluster.server.apply(broken("watched"));
    cluster.server.apply(service("web", 80));
    let snapshot = cluster.until("a good object behind a bad one", has("web")).await;
    assert!(refused(&snapshot).contains(&"Service default/watched".to_owned()), "{:?}", snapshot.refused);
    cluster.server.apply(broken("web"));
    let snapshot = cluster
        .until("a good object gone bad", |snapshot| {
            refused(snapshot).contains(&"Service default/web".to_owned())
        })
        .await;
    assert_eq!(port(&snapshot, "web"), Some(80), "its last good version stays");
    assert_eq!(cluster.lists(Resource::Services), 1, "nothing was lost");
    cluster.server.delete(Resource::Services, "default/web");
    cluster.until("its end", lacks("web")).await;
}

#[tokio::test]
async fn nonsense_in_a_watch_leads_to_a_new_list_and_loses_nothing() {
    let mut cluster = Cluster::watching(|_| {}).await;
    let lines = [
        "nonsense",
        "{\"type\":\"ADDED\",\"object\":{\"kind\":\"Service\"",
        "{\"type\":\"ADDED\",\"object\":[]}",
        "{\"type\":\"RENAMED\",\"object\":{\"metadata\":{\"resourceVersion\":\"7\"}}}",
        "{\"type\":\"ERROR\",\"object\":3}",
    ];
    for (i, line) in lines.into_iter().enumerate() {
        cluster.server.send_line(Resource::Services, line);
        cluster.server.until_requested("the watch after", i + 2, watches(Resource::Services)).await;
        assert_eq!(cluster.lists(Resource::Services), i + 2, "after {line}");
        cluster.server.apply(service(&format!("after-{i}"), 80));
        cluster.until("the next change", has(&format!("after-{i}"))).await;
    }
    cluster.assert_never_lost_anything();
}

#[tokio::test]
async fn refusals_of_the_server_are_reported_and_outlasted() {
    let mut cluster = Cluster::start(|server| {
        for fault in
            [Fault::Status(403), Fault::Status(500), Fault::Body("<html>".into()), Fault::Status(429)]
        {
            server.fail(Resource::EndpointSlices, Operation::List, fault, 1);
        }
        server.fail(Resource::Nodes, Operation::Watch, Fault::Status(500), 1);
    })
    .await;
    let forbidden = |status: &Status| {
        status.streams["EndpointSlice"].last_error.as_deref().is_some_and(|error| error.contains("(403)"))
    };
    cluster.until_status("the 403", forbidden).await;
    assert_eq!(*cluster.feed.snapshots.borrow(), None);
    cluster.until("the first snapshot", |_| true).await;
    cluster.until_status("all streams connected", Status::is_connected).await;
    let status = cluster.feed.status.borrow();
    let errors: Vec<_> = status.streams.iter().map(|(name, stream)| (*name, stream.errors)).collect();
    assert_eq!(errors, [("EndpointSlice", 4), ("Node", 1), ("Service", 0)]);
}

#[tokio::test]
async fn a_version_that_the_server_never_accepts_leads_to_a_new_list() {
    // After a restore from a backup a server answers versions of its future with errors, never with 410.
    let mut cluster = Cluster::start(|server| {
        server.fail(Resource::Nodes, Operation::Watch, Fault::Status(400), 3);
    })
    .await;
    cluster.server.until_requested("the watch after the second list", 4, watches(Resource::Nodes)).await;
    assert_eq!(cluster.lists(Resource::Nodes), 2);
    cluster.server.apply(node("b"));
    cluster.until("the change", |snapshot| snapshot.nodes.len() == 2).await;
}

#[tokio::test]
async fn a_server_that_ends_every_watch_at_once_is_not_hammered() {
    let start = Instant::now();
    let cluster = Cluster::start(|server| {
        server.fail(Resource::Services, Operation::Watch, Fault::Body(String::new()), 3);
    })
    .await;
    cluster.server.until_requested("the fourth watch", 4, watches(Resource::Services)).await;
    assert!(start.elapsed() > Duration::from_millis(1400), "three pauses of 0.2, 0.4 and 0.8 s at least");
}
