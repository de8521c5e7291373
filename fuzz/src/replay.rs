//! The committed corpora through their targets, and findings that must be findings.

use std::{fs, path::Path};

use crate::{manifest, objects, packet, policy, watch};

/// Runs every file of a target's corpus. Panics with the name of the first that fails.
fn replay(target: &str, run: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let mut files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    for file in files {
        eprintln!("{}", file.display());
        run(&fs::read(file).unwrap());
    }
}

#[test]
fn manifests_of_the_corpus_are_taken_or_refused_by_name() {
    replay("manifest", manifest::run);
}

#[test]
fn objects_of_the_corpus_are_taken_or_refused_by_name() {
    replay("objects", objects::run);
}

#[test]
fn packets_of_the_corpus_are_passed_untouched_or_translated_right_or_dropped_for_a_reason() {
    replay("packet", packet::run);
}

#[test]
fn policies_of_the_corpus_allow_or_are_refused_with_their_place() {
    replay("policy", policy::run);
}

#[test]
fn watches_of_the_corpus_lead_where_a_fresh_start_leads() {
    replay("watch", watch::run);
}
