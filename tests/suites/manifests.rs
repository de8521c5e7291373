//! A folder of manifests, followed live: every change takes effect, and nothing that is broken takes anything else
//! with it.
#![allow(clippy::unwrap_used, reason = "a failed assumption is a failed test")]

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use lb_model::object::{ObjectKey, Snapshot};
use lb_sources::{Consumer, Error, Feed, Source};
use tempfile::TempDir;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Long enough for a busy machine, where a change takes about 60 ms, and shorter than the rescan: what is seen within
/// it was told by the kernel.
const DEADLINE: Duration = Duration::from_secs(8);
/// Longer than the rescan.
const RESCANNED: Duration = Duration::from_secs(30);

struct Followed {
    folder: TempDir,
    feed: Feed,
    _stop: DropGuard,
}

impl Followed {
    async fn start(files: &[(&str, String)]) -> Self {
        let folder = TempDir::new().unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        Self::start_in(folder).await
    }

    async fn start_in(folder: TempDir) -> Self {
        let stop = CancellationToken::new();
        let feed =
            Source::Manifests(folder.path().to_owned()).start(Consumer::Agent, stop.clone()).await.unwrap();
        Self { folder, feed, _stop: stop.drop_guard() }
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The first snapshot that fits, within the deadline.
    async fn until(&mut self, what: &str, fits: impl Fn(&Snapshot) -> bool) -> Arc<Snapshot> {
        self.within(DEADLINE, what, fits).await
    }

    async fn within(
        &mut self,
        deadline: Duration,
        what: &str,
        fits: impl Fn(&Snapshot) -> bool,
    ) -> Arc<Snapshot> {
        let fits = |snapshot: &Option<Arc<Snapshot>>| snapshot.as_deref().is_some_and(&fits);
        if let Ok(found) = tokio::time::timeout(deadline, self.feed.snapshots.wait_for(fits)).await {
            return found.unwrap().clone().unwrap();
        }
        panic!("never saw: {what}; last: {:#?}", self.feed.snapshots.borrow())
    }
}

fn service(name: &str, port: i32) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata:\n  name: {name}\nspec:\n  externalIPs: [203.0.113.10]\n  ports:\n  - \
         port: {port}\n"
    )
}

fn key(name: &str) -> ObjectKey {
    ObjectKey::new("default", name)
}

fn names(snapshot: &Snapshot) -> Vec<&str> {
    snapshot.services.keys().map(|key| key.name.as_str()).collect()
}

fn port(snapshot: &Snapshot, name: &str) -> Option<u16> {
    Some(snapshot.services.get(&key(name))?.ports.first()?.port)
}

fn replace(from: &Path, to: &Path, text: &str) {
    fs::write(from, text).unwrap();
    fs::rename(from, to).unwrap();
}

#[tokio::test]
async fn the_first_snapshot_holds_all_three_kinds_and_skips_the_rest() {
    let text = format!(
        "{}---\napiVersion: v1\nkind: List\nitems:\n- apiVersion: discovery.k8s.io/v1\n  kind: EndpointSlice\n  metadata: \
         {{name: web-1, labels: {{kubernetes.io/service-name: web}}}}\n  addressType: IPv4\n  ports: [{{port: 8080}}]\n  \
         endpoints: [{{addresses: [10.0.0.1]}}]\n- apiVersion: v1\n  kind: ConfigMap\n  metadata: {{name: other}}\n",
        service("web", 80)
    );
    let node =
        r#"{"apiVersion": "v1", "kind": "Node", "metadata": {"name": "a"}, "status": {"addresses": []}}"#;
    let files =
        [("web.yaml", text), ("node.json", node.into()), ("notes.txt", "{".into()), (".x.yaml", "{".into())];
    let mut followed = Followed::start(&files).await;
    let snapshot = followed.until("the first snapshot", |_| true).await;
    assert_eq!(names(&snapshot), ["web"]);
    assert_eq!(snapshot.slices.keys().collect::<Vec<_>>(), [&key("web-1")]);
    assert_eq!(snapshot.nodes.keys().collect::<Vec<_>>(), ["a"]);
    assert_eq!(*snapshot.refused, []);
    assert!(followed.feed.status.borrow().is_connected());
}

#[tokio::test]
async fn edits_new_files_and_removals_take_effect() {
    let mut followed = Followed::start(&[("web.yaml", service("web", 80))]).await;
    followed.write("web.yaml", &service("web", 81));
    followed.until("an edit in place", |snapshot| port(snapshot, "web") == Some(81)).await;
    replace(&followed.path(".web.yaml.swp"), &followed.path("web.yaml"), &service("web", 82));
    followed.until("an edit by renaming over", |snapshot| port(snapshot, "web") == Some(82)).await;
    followed.write("db.yml", &service("db", 5432));
    followed.until("a new file", |snapshot| names(snapshot) == ["db", "web"]).await;
    fs::remove_file(followed.path("web.yaml")).unwrap();
    followed.until("a removed file", |snapshot| names(snapshot) == ["db"]).await;
    fs::rename(followed.path("db.yml"), followed.path("db.off")).unwrap();
    followed.until("a file renamed away", |snapshot| names(snapshot).is_empty()).await;
}

#[tokio::test]
async fn a_mounted_config_map_is_followed_through_its_links() {
    let folder = TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name);
    for (version, port) in [("..v1", 80), ("..v2", 81)] {
        fs::create_dir(at(version)).unwrap();
        fs::write(at(version).join("web.yaml"), service("web", port)).unwrap();
    }
    symlink("..v1", at("..data")).unwrap();
    symlink("..data/web.yaml", at("web.yaml")).unwrap();
    let mut followed = Followed::start_in(folder).await;
    followed.until("the first version", |snapshot| port(snapshot, "web") == Some(80)).await;
    // The kubelet's way: a new link beside the old one, renamed over it (AtomicWriter in pkg/volume/util).
    symlink("..v2", followed.path("..data_tmp")).unwrap();
    fs::rename(followed.path("..data_tmp"), followed.path("..data")).unwrap();
    followed.until("the second version", |snapshot| port(snapshot, "web") == Some(81)).await;
}

#[tokio::test]
async fn a_broken_file_is_refused_alone_and_its_last_good_version_stays() {
    let two = format!("{}---\n{}", service("web", 80), service("api", 8080));
    let files = [("web.yaml", two), ("db.yaml", service("db", 5432))];
    let mut followed = Followed::start(&files).await;
    followed.write("web.yaml", &format!("{}---\nkind: [\n", service("web", 90)));
    followed.write("db.yaml", &service("db", 5433));
    let snapshot = followed
        .until("the refusal and the other file's edit", |snapshot| {
            !snapshot.refused.is_empty() && port(snapshot, "db") == Some(5433)
        })
        .await;
    assert_eq!(names(&snapshot), ["api", "db", "web"]);
    assert_eq!(port(&snapshot, "web"), Some(80));
    let refusal = &snapshot.refused[0];
    assert_eq!(
        (&*refusal.kind, &refusal.object, &*refusal.reason),
        ("File", &ObjectKey::new("", "web.yaml"), "BrokenManifest")
    );
    assert!(refusal.message.starts_with("web.yaml:1"), "{}", refusal.message);
    assert!(refusal.message.contains("last good version stays served"), "{}", refusal.message);
    followed.write("web.yaml", &service("web", 91));
    let snapshot = followed.until("the correction", |snapshot| port(snapshot, "web") == Some(91)).await;
    assert_eq!((names(&snapshot), snapshot.refused.len()), (vec!["db", "web"], 0));
}

#[tokio::test]
async fn on_first_sight_what_parses_of_a_broken_file_is_served() {
    let text = format!("{}---\nkind: [\n---\n{}", service("web", 80), service("api", 8080));
    let mut followed = Followed::start(&[("all.yaml", text), ("bytes.yaml", "\u{fffd}".into())]).await;
    let snapshot = followed.until("the first snapshot", |_| true).await;
    assert_eq!(names(&snapshot), ["api", "web"]);
    fs::write(followed.path("bytes.yaml"), [0xff, 0xfe, 0x00]).unwrap();
    let snapshot = followed
        .until("the refusal of bytes", |snapshot| {
            snapshot.refused.iter().any(|r| r.message.contains("UTF-8"))
        })
        .await;
    assert_eq!(names(&snapshot), ["api", "web"]);
}

#[tokio::test]
async fn an_object_with_impossible_values_is_refused_with_file_and_line() {
    let mut followed =
        Followed::start(&[("web.yaml", service("web", 80)), ("db.yaml", service("db", 5432))]).await;
    followed.write("web.yaml", &service("web", 0));
    let snapshot = followed.until("the refusal of port 0", |snapshot| !snapshot.refused.is_empty()).await;
    assert_eq!(names(&snapshot), ["db", "web"]);
    assert_eq!(
        snapshot.refused[0].message,
        "web.yaml:8: spec.ports[0].port: 0 is not a port; use 1 to 65535"
    );
    assert_eq!(snapshot.refused[0].object, key("web"));

    followed.write("db.yaml", &service("db", 5432).replace("5432", "five"));
    let refused = |snapshot: &Snapshot| snapshot.refused.iter().any(|refusal| refusal.object == key("db"));
    let snapshot = followed.until("the refusal of an undecodable object", refused).await;
    assert_eq!(port(&snapshot, "db"), Some(5432), "the object's last good version stays");
}

#[tokio::test]
async fn of_two_definitions_the_earlier_file_counts() {
    let files = [("a.yaml", service("web", 80)), ("b.yaml", service("web", 81))];
    let mut followed = Followed::start(&files).await;
    let snapshot = followed.until("the first snapshot", |_| true).await;
    assert_eq!(port(&snapshot, "web"), Some(80));
    assert_eq!(snapshot.refused[0].message, "b.yaml:1: already defined at a.yaml:1; remove one");
    fs::remove_file(followed.path("a.yaml")).unwrap();
    let snapshot = followed.until("the other definition", |snapshot| port(snapshot, "web") == Some(81)).await;
    assert_eq!(*snapshot.refused, []);
}

#[tokio::test]
async fn a_change_that_the_kernel_does_not_tell_is_found_by_the_rescan() {
    let elsewhere = TempDir::new().unwrap();
    let target = elsewhere.path().join("web.yaml");
    fs::write(&target, service("web", 80)).unwrap();
    let folder = TempDir::new().unwrap();
    symlink(&target, folder.path().join("web.yaml")).unwrap();
    let mut followed = Followed::start_in(folder).await;
    followed.until("the first version", |snapshot| port(snapshot, "web") == Some(80)).await;
    fs::write(&target, service("web", 81)).unwrap();
    followed.within(RESCANNED, "the second version", |snapshot| port(snapshot, "web") == Some(81)).await;
}

#[tokio::test]
async fn a_folder_that_vanishes_takes_nothing_with_it_and_is_followed_again_when_it_returns() {
    let parent = TempDir::new().unwrap();
    let folder = parent.path().join("manifests");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("web.yaml"), service("web", 80)).unwrap();
    let stop = CancellationToken::new();
    let mut feed = Source::Manifests(folder.clone()).start(Consumer::Agent, stop.clone()).await.unwrap();
    let _stop = stop.drop_guard();
    fs::rename(&folder, parent.path().join("away")).unwrap();
    let broken = feed.status.wait_for(|status| !status.is_connected());
    tokio::time::timeout(DEADLINE, broken).await.expect("the loss is reported").unwrap();
    assert_eq!(feed.snapshots.borrow().as_deref().map(names).unwrap().len(), 1);
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("db.yaml"), service("db", 5432)).unwrap();
    let back = feed.snapshots.wait_for(|snapshot| snapshot.as_deref().is_some_and(|s| names(s) == ["db"]));
    tokio::time::timeout(DEADLINE, back).await.expect("the new folder is read").unwrap();
    fs::write(folder.join("db.yaml"), service("db", 5433)).unwrap();
    let followed =
        feed.snapshots.wait_for(|snapshot| snapshot.as_deref().is_some_and(|s| port(s, "db") == Some(5433)));
    tokio::time::timeout(DEADLINE, followed).await.expect("the new folder is followed").unwrap();
}

#[tokio::test]
async fn a_folder_that_does_not_exist_is_one_clear_error() {
    let missing = TempDir::new().unwrap().path().join("none");
    let error = Source::Manifests(missing.clone())
        .start(Consumer::Agent, CancellationToken::new())
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Folder { .. }), "{error:?}");
    assert!(error.to_string().contains(missing.to_str().unwrap()), "{error}");
    assert!(error.to_string().contains("--manifests"), "{error}");
}

#[tokio::test]
async fn the_source_ends_when_told_to() {
    let folder = TempDir::new().unwrap();
    let stop = CancellationToken::new();
    let feed =
        Source::Manifests(folder.path().to_owned()).start(Consumer::Agent, stop.clone()).await.unwrap();
    stop.cancel();
    tokio::time::timeout(DEADLINE, feed.task).await.expect("it ends").unwrap();
}
