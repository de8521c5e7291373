//! Every annotation, every meaning of `rewrite-target`, and what becomes of those that cannot be heeded.

mod access;
mod rewrite_target;
mod values;

use std::collections::BTreeMap;

use lb_model::{annotation::THEMES, ingress::IngressVersion};

use super::*;

/// What the annotations of an Ingress mean, under the longer prefix.
fn read_all(annotations: &[(&str, &str)]) -> (Annotations, Vec<Finding>) {
    let key = |name: &str| match name.strip_prefix("kubernetes.io/") {
        Some(_) => name.to_owned(),
        None => format!("nginx.ingress.kubernetes.io/{name}"),
    };
    read_keys(
        annotations.iter().map(|(name, value)| (key(name), value.to_string())).collect(),
        IngressVersion::NetworkingV1,
    )
}

fn read_keys(annotations: BTreeMap<String, String>, version: IngressVersion) -> (Annotations, Vec<Finding>) {
    read(&Ingress { annotations, version, ..Ingress::default() })
}

/// What annotations mean that are as they should be.
fn accepted(annotations: &[(&str, &str)]) -> Annotations {
    let (read, findings) = read_all(annotations);
    assert_eq!(findings, [], "{annotations:?}");
    read
}

fn policy(annotations: &[(&str, &str)]) -> Policy {
    (*accepted(annotations).policy).clone()
}

/// The reason and the message of the only finding about an annotation.
fn finding(name: &str, value: &str) -> (&'static str, String) {
    let (_, findings) = read_all(&[(name, value)]);
    assert_eq!(findings.len(), 1, "{name}: {value}: {findings:?}");
    (findings[0].reason, findings[0].message.clone())
}

#[test]
fn the_longer_prefix_wins() {
    let key = |prefix: &str| format!("{prefix}.kubernetes.io/proxy-body-size");
    let both = [(key("nginx.ingress"), "1k".to_owned()), (key("ingress"), "2k".to_owned())];
    let limit = |annotations| read_keys(annotations, IngressVersion::NetworkingV1).0.policy.body_limit;
    assert_eq!(limit(both.clone().into()), Some(1024));
    assert_eq!(limit(both[1..].iter().cloned().collect()), Some(2048));
}

#[test]
fn an_unknown_annotation_is_a_warning_and_no_more() {
    let (annotations, findings) = read_all(&[("rewrite-targett", "/"), ("proxy-body-size", "8m")]);
    assert_eq!(findings[0].reason, "AnnotationUnknown");
    assert!(findings[0].message.contains("nginx.ingress.kubernetes.io/rewrite-targett is not known"));
    assert_eq!((annotations.unavailable, annotations.policy.body_limit), (None, Some(8 << 20)));
}

#[test]
fn annotations_of_others_are_none_of_ours() {
    let keys = ["cert-manager.io/cluster-issuer", "kubernetes.io/ingress.class", "example.org/auth-url"];
    let annotations = keys.map(|key| (key.to_owned(), "x".to_owned())).into();
    let (read, findings) = read_keys(annotations, IngressVersion::NetworkingV1);
    assert_eq!((findings, read.unavailable), (vec![], None));
}

#[test]
fn every_supported_annotation_is_read() {
    let known = THEMES.iter().flat_map(|theme| theme.annotations);
    let supported = known.filter(|known| {
        matches!(
            known.status,
            lb_model::annotation::Status::Supported | lb_model::annotation::Status::Guarding
        )
    });
    for known in supported.filter(|known| known.name != lb_model::annotation::CLASS) {
        // The switches behind which other annotations are read.
        let switches = [("affinity", "cookie"), ("enable-cors", "true")];
        let mut annotations = switches.to_vec();
        annotations.retain(|(name, _)| *name != known.name);
        annotations.push((known.name, "\u{1}"));
        let (_, findings) = read_all(&annotations);
        assert_eq!(findings.len(), 1, "{} is in the table, and nothing reads it", known.name);
    }
}
