//! Secret.

use lb_model::ingress::TlsSecret;

use super::*;

fn secret(fields: Value) -> TlsSecret {
    match served(Kind::Secret, object(fields)) {
        (Object::Secret(secret), _) => secret,
        (other, _) => panic!("{other:?}"),
    }
}

fn object(fields: Value) -> Value {
    let mut object = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "cert"}});
    object.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    object
}

#[test]
fn the_two_parts_are_read_from_base64_and_from_text() {
    let expected = TlsSecret { certificate: b"chain".to_vec(), key: b"key".to_vec() };
    for fields in [
        json!({"type": "kubernetes.io/tls", "data": {"tls.crt": "Y2hhaW4=", "tls.key": "a2V5"}}),
        json!({"type": "Opaque", "data": {"tls.crt": "Y2hh\naW4=\r\n", "tls.key": "a2V5", "ca.crt": "%"}}),
        json!({"stringData": {"tls.crt": "chain", "tls.key": "key"}}),
        json!({"data": {"tls.crt": "%", "tls.key": "a2V5"}, "stringData": {"tls.crt": "chain"}}),
    ] {
        assert_eq!(secret(fields.clone()), expected, "{fields}");
    }
}

#[test]
fn a_part_that_is_missing_is_left_to_who_uses_it() {
    assert_eq!(secret(json!({"type": "kubernetes.io/tls"})), TlsSecret::default());
    assert_eq!(secret(json!({"data": {"tls.key": "a2V5", "tls.crt": null}})).key, b"key");
}

#[test]
fn secrets_of_another_sort_are_skipped() {
    for fields in [json!({}), json!({"type": "Opaque", "data": {"password": "%"}})] {
        let translation = translate(Kind::Secret, &object(fields));
        assert_eq!((translation.outcome, translation.findings), (Outcome::Skipped, vec![]));
    }
}

#[test]
fn what_cannot_be_read_is_named_and_never_shown() {
    for (fields, expected) in [
        (
            json!({"data": {"tls.crt": "se cret"}}),
            "data.tls.crt: not base64; plain text belongs into stringData",
        ),
        (json!({"data": {"tls.key": ["secret"]}}), "data.tls.key: not text; write it between quotes"),
        (json!({"stringData": {"tls.key": 5_163}}), "stringData.tls.key: not text; write it between quotes"),
        (json!({"data": "secret"}), "data: not a mapping of keys to text"),
    ] {
        let finding = refused(Kind::Secret, object(fields)).to_string();
        assert!(finding.starts_with(expected) && !finding.contains("cret"), "{finding}");
    }
    let debug = format!("{:?}", secret(json!({"stringData": {"tls.crt": "chain", "tls.key": "key"}})));
    assert!(!debug.contains("107"), "{debug}");
}
