use proptest::prelude::*;

use super::*;
use crate::{Consumer, translate::translate};

const TWO: &str = "\
# comment
%YAML 1.2
---
apiVersion: v1
kind: Service
metadata:
  name: a
spec:
  ports:
  - name: x
    port: 80
  - {name: y, port: 0}
--- # second
apiVersion: v1
kind: List
items:
- kind: Node
  apiVersion: v1
- 3
";

fn good(text: &str) -> Vec<Document<'_>> {
    parse(text).into_iter().map(|document| document.unwrap()).collect()
}

#[test]
fn documents_and_lists_become_objects_with_their_lines() {
    let documents = good(TWO);
    assert_eq!(documents.len(), 2);
    let places = documents[0].places();
    assert_eq!(places.of("metadata.name"), Place { line: 7, column: 3 });
    assert_eq!(places.of("spec.ports[0].port"), Place { line: 11, column: 5 });
    assert_eq!(places.of("spec.ports[1].port"), Place { line: 12, column: 15 });
    assert_eq!(
        places.of("spec.ports[1].nodePort"),
        places.of("spec.ports[1]"),
        "missing: where it should be"
    );
    assert_eq!(places.of("nothing").line, 4);
    assert_eq!((documents[0].start().line, documents[1].start().line), (4, 14));
    let objects = documents[1].objects();
    let paths: Vec<_> = objects.iter().map(|object| &*object.path).collect();
    assert_eq!(paths, ["items[0]", "items[1]"]);
    assert_eq!(documents[1].places().of("items[0].kind").line, 17);
    assert_eq!(classify(objects[0].value), Class::Followed(Kind::Node));
    assert_eq!(classify(objects[1].value), Class::NoObject("it is not a mapping"));
}

#[test]
fn a_broken_document_leaves_its_neighbours_alone_and_knows_its_line() {
    let text = "kind: A\n---\nkind: [\n---\nkind: \"open\n---\na: 1\na: 2\n---\nkind: B\n";
    let documents = parse(text);
    let lines: Vec<_> = documents
        .iter()
        .map(|document| document.as_ref().map_err(|broken| broken.place.line).map(|_| ()))
        .collect();
    assert_eq!(lines.len(), 5);
    assert!(lines[0].is_ok() && lines[4].is_ok(), "{lines:?}");
    assert!(lines[1].is_err() && lines[2].is_err(), "{lines:?}");
    assert_eq!(lines[3], Err(8), "a key that stands twice");
}

#[test]
fn json_is_read_like_yaml() {
    let text = "{\n\t\"kind\": \"Node\",\n\t\"apiVersion\": \"v1\",\n\t\"spec\": {\"a\": [1, null, true, 1.5, \"\\u00e9\"]}\n}\n";
    let documents = good(text);
    assert_eq!(classify(documents[0].objects()[0].value), Class::Followed(Kind::Node));
    assert_eq!(documents[0].places().of("spec.a[1]").line, 4);
}

#[test]
fn text_without_an_object_is_no_document() {
    for text in ["", "\n", "# only a comment\n", "---\n---\n", "---\nnull\n"] {
        assert!(parse(text).is_empty(), "{text:?}");
    }
    assert_eq!(classify(good("text")[0].objects()[0].value), Class::NoObject("it is not a mapping"));
}

proptest! {
    #[test]
    fn no_text_at_all_brings_the_reader_down(
        parts in prop::collection::vec(
            prop_oneof![
                prop::sample::select(vec![
                    "---", "\n", "  ", "- ", "kind: Service", "apiVersion: v1", "spec:", "ports:", "port: 0", "{", "}",
                    "[", "]", "&a ", "*a", "<<: *a", "\"", "'", "|\n", "#", "%", "!!int ", "items:", "kind: List", "\t",
                ])
                .prop_map(str::to_owned),
                "\\PC{0,8}",
            ],
            0..30
        )
    ) {
        for document in parse(&parts.concat()).into_iter().flatten() {
            let places = document.places();
            for object in document.objects() {
                prop_assert!(places.of(&object.path).line >= 1);
                if let Class::Followed(kind) = classify(object.value) {
                    translate(Consumer::Ingress, kind, object.value);
                }
            }
        }
    }
}

#[test]
fn anchors_are_followed() {
    let documents = good("a: &x {port: 80}\nb: *x\nc:\n  <<: *x\n");
    assert_eq!(documents[0].value["b"]["port"], 80);
    assert_eq!(documents[0].value["c"]["port"], 80);
    assert_eq!(documents[0].places().of("b").line, 2);
}

/// Printed in a course, where nobody ran it.
const HELLO: &str = include_str!("../../../../../tests/seeds/ingress-hello-cisco.yaml");

#[test]
fn a_mapping_below_a_scalar_is_named_with_its_line_and_the_mend() {
    let broken = parse(&format!("kind: A\n---\n{HELLO}")).pop().unwrap().unwrap_err();
    assert_eq!(broken.place, Place { line: 14, column: 11 });
    assert_eq!(
        broken.message,
        "backend: is indented below path, which has a value already; align it with path"
    );
    let mended = HELLO.replace("          backend:", "         backend:");
    let documents = good(&mended);
    let translation = translate(Consumer::Ingress, Kind::Ingress, documents[0].objects()[0].value);
    assert_eq!(translation.findings, []);
}

#[test]
fn no_document_is_lost_whichever_marker_and_line_end_parts_it_from_the_one_before() {
    for text in [
        "a: 1\n...\nb: 2\n",
        "a: 1\r\n---\r\nb: 2\r\n",
        "a: 1\r---\rb: 2\r",
        "a: 1\r...\rb: 2",
        "a: 1\n... # end\nb: 2",
    ] {
        let documents = good(text);
        let names: Vec<_> =
            documents.iter().flat_map(|document| document.value().as_object().unwrap().keys()).collect();
        assert_eq!(names, ["a", "b"], "{text:?}");
        assert_eq!((documents[1].start().line, documents[1].places().of("b").line), (3, 3), "{text:?}");
    }
}

#[test]
fn what_only_looks_like_a_marker_parts_nothing() {
    assert_eq!(good("---x: 1\n...y: 2\n---\u{a0}z: 3\n").len(), 1);
}

#[test]
fn lists_within_lists_are_lists_and_one_without_items_is_no_object() {
    let documents = good(
        "{apiVersion: v1, kind: List, items: [{kind: List, items: [1, {kind: NodeList, items: [2]}]}, 3]}",
    );
    let objects = documents[0].objects();
    let paths: Vec<_> = objects.iter().map(|object| (&*object.path, object.value.as_u64())).collect();
    assert_eq!(
        paths,
        [("items[0].items[0]", Some(1)), ("items[0].items[1].items[0]", Some(2)), ("items[1]", Some(3))]
    );
    assert!(
        good("{apiVersion: v1, kind: ServiceList, items: null}")[0].objects().is_empty(),
        "Go's empty list"
    );
    for text in ["{apiVersion: v1, kind: ServiceList}", "{apiVersion: v1, kind: List, items: {a: 1}}"] {
        let documents = good(text);
        let class = classify(documents[0].objects()[0].value);
        assert_eq!(class, Class::NoObject("it is a list without a sequence of items"), "{text}");
    }
}

#[test]
fn places_in_a_document_that_is_nested_deep_fit_on_the_stack_of_a_thread() {
    for depth in [10, 62] {
        let text =
            format!("kind: Service\napiVersion: v1\nspec: {}{}\n", "[".repeat(depth), "]".repeat(depth));
        let line = good(&text)[0].places().of("apiVersion").line;
        assert_eq!(line, if depth == 10 { 2 } else { 1 }, "{depth} deep");
    }
}
