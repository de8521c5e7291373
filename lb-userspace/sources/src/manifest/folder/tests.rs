use super::*;

const GOOD: &str = "{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {ports: [{port: 80}]}}";
const REFUSED: &str = "{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {ports: no}}";

/// Scans a folder whose one file has these documents.
fn scan(folder: &mut Folder, documents: &[&str]) -> Snapshot {
    fs::write(folder.path().join("a.yaml"), documents.join("\n---\n")).unwrap();
    folder.scan().unwrap()
}

fn reasons(snapshot: &Snapshot) -> Vec<&str> {
    snapshot.refused.iter().map(|refusal| &*refusal.reason).collect()
}

#[test]
fn a_file_that_is_read_again_says_the_same() {
    let place = tempfile::tempdir().unwrap();
    for documents in
        [&[GOOD, REFUSED, "kind: ["][..], &[REFUSED, GOOD, "kind: ["], &[REFUSED, REFUSED, "kind: ["]]
    {
        let mut folder = Folder::new(Consumer::Agent, place.path());
        let first = scan(&mut folder, documents);
        assert_eq!(folder.scan().unwrap(), first, "{documents:?}");
    }
}

#[test]
fn an_object_that_became_unusable_gives_way_to_a_good_definition_beside_it() {
    let place = tempfile::tempdir().unwrap();
    let mut folder = Folder::new(Consumer::Agent, place.path());
    scan(&mut folder, &[GOOD]);
    let other = GOOD.replace("80", "81");
    let snapshot = scan(&mut folder, &[REFUSED, &other]);
    assert_eq!(snapshot.services[&ObjectKey::new("default", "a")].ports[0].port, 81);
    assert_eq!(reasons(&snapshot), [reason::UNDECODABLE]);
    let snapshot = scan(&mut folder, &[REFUSED, REFUSED]);
    assert_eq!(snapshot.services[&ObjectKey::new("default", "a")].ports[0].port, 81, "the last good version");
    assert!(snapshot.refused.iter().all(|refusal| refusal.message.ends_with("version stays served")));
    assert_eq!(reasons(&snapshot), [reason::UNDECODABLE; 2]);
}
