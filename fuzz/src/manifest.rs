//! Any bytes as a manifest, in a folder beside a good one.

use std::{cell::LazyCell, fs, path::Path};

use lb_model::object::{ObjectKey, Snapshot};
use lb_sources::{
    Consumer,
    manifest::{
        Folder,
        document::{self, Broken, Class, Document},
    },
    translate::{self, Kind, Outcome, contains, key_of},
};
use serde_json::Value;
use serde_saphyr::{budget, options};
use tempfile::TempDir;

use crate::{
    cluster::GOOD,
    oracle::{self, names},
};

/// Files in the order in which they are read: of two definitions the good one counts.
const GOOD_FILE: &str = "a-good.yaml";
pub(crate) const FILE: &str = "b-any.yaml";

/// Memory where there is a file system in it: every input is a file.
const SHARED_MEMORY: &str = "/dev/shm";

thread_local! {
    static FOLDER: LazyCell<TempDir> = LazyCell::new(|| {
        let parent = Path::new(SHARED_MEMORY);
        let folder = if parent.is_dir() { TempDir::new_in(parent) } else { TempDir::new() };
        let folder = folder.expect("a temporary folder");
        fs::write(folder.path().join(GOOD_FILE), GOOD).expect("a file in it");
        folder
    });
}

/// Reads the bytes as each program does; for the agent, decides and plans.
pub fn run(bytes: &[u8]) {
    for consumer in [Consumer::Agent, Consumer::Ingress] {
        scan_beside_good(consumer, bytes, |before, after| {
            match str::from_utf8(bytes) {
                Ok(text) => assert_every_document_is_accounted_for(consumer, text, after),
                Err(_) => assert!(is_file_refused(after), "no UTF-8, and no word of it: {after:?}"),
            }
            if consumer == Consumer::Agent {
                oracle::check(&[before, after, before]);
            }
        });
    }
}

/// Puts a file of these bytes beside the good one. Gives the snapshots before and after to `look`.
pub(crate) fn scan_beside_good(consumer: Consumer, bytes: &[u8], look: impl FnOnce(&Snapshot, &Snapshot)) {
    FOLDER.with(|folder| {
        let file = folder.path().join(FILE);
        let _ = fs::remove_file(&file);
        let mut source = Folder::new(consumer, folder.path());
        let before = source.scan().expect("the folder is there");
        assert_eq!((&*before.refused, before.services.len(), before.slices.len()), (&[][..], 1, 1));
        fs::write(&file, bytes).expect("a file in the folder");
        let after = source.scan().expect("the folder is there");
        assert_eq!(source.scan().expect("the folder is there"), after, "read again, nothing is different");
        assert_refusals_say_where(bytes, &after);
        look(&before, &after);
    });
}

/// Panics where a document, or an object in one, is neither taken, nor skipped by a rule, nor refused by name.
fn assert_every_document_is_accounted_for(consumer: Consumer, text: &str, snapshot: &Snapshot) {
    let documents = document::parse(text);
    let broken = documents.iter().filter(|document| document.is_err()).count();
    assert!(broken == 0 || is_file_refused(snapshot), "broken documents, and no word of it: {snapshot:?}");
    assert_no_document_is_lost(text, &documents);
    for document in documents.iter().flatten() {
        for object in document.objects() {
            match document::classify(object.value) {
                Class::Followed(kind) if consumer.follows(kind) => {
                    assert_is_accounted_for(consumer, kind, object.value, snapshot);
                }
                Class::NoObject(_) => assert!(is_file_refused(snapshot), "no object, and no word of it"),
                Class::Followed(_) | Class::Other(_) => {}
            }
        }
    }
}

/// The parser's own idea of where documents begin and end, against ours.
fn assert_no_document_is_lost(text: &str, documents: &[Result<Document<'_>, Broken>]) {
    let options =
        options! { with_snippet: false, budget: budget! { max_nodes: 4_000_000, max_events: 16_000_000 } };
    let Ok(wanted) = serde_saphyr::from_multiple_with_options::<Value>(text, options) else { return };
    // What one document says of the next, a `%TAG` for instance, ends with it in ours: refused then, and said so.
    if documents.iter().all(Result::is_ok) {
        let found: Vec<_> = documents.iter().flatten().map(Document::value).collect();
        assert_eq!(found, wanted.iter().collect::<Vec<_>>(), "documents of {text:?}");
    }
}

/// Panics where the snapshot neither has the object, nor has it refused, though no rule passes it over.
pub(crate) fn assert_is_accounted_for(consumer: Consumer, kind: Kind, object: &Value, snapshot: &Snapshot) {
    let key = key_of(kind, object);
    let is_skipped = || translate::translate(consumer, kind, object).outcome == Outcome::Skipped;
    assert!(
        contains(kind, &key, snapshot) || names(&snapshot.refused, kind.as_str(), &key) || is_skipped(),
        "{} {key} is lost: {object} in {snapshot:#?}",
        kind.as_str()
    );
}

fn is_file_refused(snapshot: &Snapshot) -> bool {
    names(&snapshot.refused, "File", &ObjectKey::new("", FILE))
}

/// Every refusal begins with the file and, but where it is about the whole file, with a line that the file has.
fn assert_refusals_say_where(bytes: &[u8], snapshot: &Snapshot) {
    let breaks = bytes.iter().filter(|byte| matches!(byte, b'\n' | b'\r')).count();
    for refusal in &*snapshot.refused {
        assert!(!refusal.message.contains(char::is_control), "{refusal:?} breaks its line");
        let rest = refusal.message.strip_prefix(FILE).unwrap_or_else(|| panic!("{refusal:?}: where?"));
        if let Some(place) = rest.strip_prefix(':') {
            let line: usize =
                place.split(':').next().and_then(|line| line.parse().ok()).expect("a line number");
            assert!((1..=breaks + 1).contains(&line), "{refusal:?}: the file has no such line");
        }
    }
}
