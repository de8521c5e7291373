//! Keys of all forms, certificates for all hosts, and Secrets that are broken.

use lb_model::ingress::{Ingress, IngressTls};

use super::*;
use crate::compile::tests::cluster::{Cluster, annotated, answer, backend, key, one_host, reasons, tls};
use crate::config::{Config, Validity};

const EC: &str = include_str!("../../../testdata/ec.crt");
const EC_SEC1: &str = include_str!("../../../testdata/ec-sec1.key");
const EC_PKCS8: &str = include_str!("../../../testdata/ec-pkcs8.key");
const RSA: &str = include_str!("../../../testdata/rsa.crt");
const RSA_PKCS1: &str = include_str!("../../../testdata/rsa-pkcs1.key");
const RSA_PKCS8: &str = include_str!("../../../testdata/rsa-pkcs8.key");

/// When `ec.crt` is valid, as `openssl x509 -dates` prints it.
const EC_VALIDITY: Validity = Validity { not_before: 1_795_334_500, not_after: 4_948_934_500 };

fn read_text(certificate: &str, private_key: &str) -> Result<Certificate, CertificateError> {
    let secret = lb_model::ingress::TlsSecret { certificate: certificate.into(), key: private_key.into() };
    read(&key("site"), &secret)
}

/// The Secret whose certificate a server name gets.
fn secret_of(config: &Config, server_name: Option<&str>) -> Option<String> {
    config.certificates.certificate(server_name).map(|certificate| certificate.secret.name.clone())
}

fn with_tls(host: &str, entries: Vec<IngressTls>) -> Ingress {
    Ingress { tls: entries, ..one_host(host) }
}

fn cluster() -> Cluster {
    let mut cluster = Cluster::new();
    cluster.secret("ec", EC, EC_SEC1).secret("rsa", RSA, RSA_PKCS1);
    cluster
}

#[test]
fn keys_of_all_three_forms_are_read() {
    for (certificate, private_key) in [(EC, EC_SEC1), (EC, EC_PKCS8), (RSA, RSA_PKCS1), (RSA, RSA_PKCS8)] {
        read_text(certificate, private_key).unwrap();
    }
}

#[test]
fn names_and_expiry_are_those_of_the_first_certificate() {
    let certificate = read_text(&format!("{EC}{RSA}"), EC_SEC1).unwrap();
    assert_eq!(certificate.names, ["example.org", "*.example.org"]);
    assert_eq!(certificate.validity, EC_VALIDITY);
    assert_eq!(certificate.certified_key.cert.len(), 2);
    assert_eq!(read_text(RSA, RSA_PKCS8).unwrap().names, ["rsa.example.com"]);
}

#[test]
fn a_certificate_covers_its_names_and_wildcards_one_label() {
    let certificate = read_text(EC, EC_SEC1).unwrap();
    for (host, covered) in [
        ("example.org", true),
        ("a.example.org", true),
        ("*.example.org", true),
        ("a.b.example.org", false),
        ("example.com", false),
        (".example.org", false),
    ] {
        assert_eq!(certificate.covers(host), covered, "{host}");
    }
}

#[test]
fn what_is_wrong_with_a_secret_is_said() {
    let broken = EC.replace("MII", "AII");
    for (certificate, private_key, expected) in [
        ("", EC_SEC1, "tls.crt has no PEM certificate"),
        (EC, "", "tls.key has no PEM private key"),
        (EC, "-----BEGIN PRIVATE KEY-----\n!!\n-----END PRIVATE KEY-----\n", "tls.key is no PEM"),
        (EC, RSA_PKCS1, "the key in tls.key is not that of the first certificate"),
        (&format!("{RSA}{EC}"), EC_SEC1, "the key in tls.key is that of certificate 2 in tls.crt"),
        (
            &format!("{EC}{EC}").replacen(
                "-----BEGIN CERTIFICATE-----\nMII",
                "-----BEGIN CERTIFICATE-----\nAII",
                1,
            ),
            EC_SEC1,
            "certificate 1 of tls.crt cannot be read",
        ),
        (&broken, EC_SEC1, "certificate 1 of tls.crt cannot be read"),
    ] {
        let message = read_text(certificate, private_key).unwrap_err().to_string();
        assert!(message.starts_with(expected), "{message}");
    }
}

#[test]
fn the_server_name_itself_comes_before_a_wildcard_before_the_default() {
    let mut cluster = cluster();
    cluster.secret("own", EC, EC_SEC1).secret("default", EC, EC_SEC1);
    cluster.settings.default_certificate = Some(key("default"));
    let entries =
        vec![tls(&["*.example.org"], "ec"), tls(&["a.example.org"], "own"), tls(&["rsa.example.com"], "rsa")];
    cluster.ingress("site", with_tls("a.example.org", entries));
    let config = cluster.compile();
    assert_eq!(reasons(&config), []);
    for (server_name, expected) in [
        (Some("a.example.org"), "own"),
        (Some("b.example.org"), "ec"),
        (Some("rsa.example.com"), "rsa"),
        (Some("b.c.example.org"), "default"),
        (None, "default"),
    ] {
        assert_eq!(secret_of(&config, server_name).as_deref(), Some(expected), "{server_name:?}");
    }
    assert_eq!(config.validities.get("default/ec"), Some(&EC_VALIDITY));
    assert_eq!(config.validities.len(), 4);
}

#[test]
fn a_bad_secret_breaks_its_own_hosts_only() {
    let mut cluster = cluster();
    cluster.secret("bad", EC, RSA_PKCS1);
    cluster.ingress("bad", with_tls("bad.example.org", vec![tls(&["bad.example.org"], "bad")]));
    cluster.ingress("gone", with_tls("gone.example.org", vec![tls(&["gone.example.org"], "gone")]));
    cluster.ingress("good", with_tls("good.example.org", vec![tls(&["good.example.org"], "ec")]));
    let config = cluster.compile();
    assert_eq!(reasons(&config), [("bad", "SecretInvalid"), ("gone", "SecretNotFound")]);
    assert!(
        config.refusals[0].message.starts_with("Secret default/bad of bad.example.org: the key in tls.key")
    );
    assert_eq!(secret_of(&config, Some("bad.example.org")), None);
    assert_eq!(secret_of(&config, Some("good.example.org")).as_deref(), Some("ec"));
    // Its routes are there, and still redirect to https: nothing falls back to plain HTTP.
    assert_eq!(answer(&config, "bad.example.org", "/"), "web");
    assert!(config.routes.find("bad.example.org", "/").unwrap().route.tls);
}

#[test]
fn a_certificate_for_other_names_is_served_and_its_ingress_told() {
    let mut cluster = cluster();
    cluster.ingress("site", with_tls("foo.com", vec![tls(&["foo.com"], "ec")]));
    let config = cluster.compile();
    assert_eq!(reasons(&config), [("site", "CertificateNameMismatch")]);
    assert_eq!(secret_of(&config, Some("foo.com")).as_deref(), Some("ec"));
}

#[test]
fn tls_without_hosts_is_for_those_of_the_rules_or_for_all() {
    let mut cluster = cluster();
    cluster.ingress("site", with_tls("a.example.org", vec![tls(&[], "ec")]));
    let config = cluster.compile();
    assert_eq!(secret_of(&config, Some("a.example.org")).as_deref(), Some("ec"));
    assert_eq!(secret_of(&config, None), None);
    assert!(config.routes.find("a.example.org", "/").unwrap().route.tls);
    // As in the documentation's example of TLS with nothing but a default backend.
    let default_backend = Some(backend("web:80"));
    cluster.ingress("site", Ingress { tls: vec![tls(&[], "ec")], default_backend, ..Ingress::default() });
    let config = cluster.compile();
    assert_eq!(secret_of(&config, Some("anything.net")).as_deref(), Some("ec"));
    assert!(config.routes.find("anything.net", "/").unwrap().route.tls);
}

#[test]
fn of_two_certificates_for_a_host_the_older_ingress_has_its_own() {
    let mut cluster = cluster();
    cluster.secret("other", EC, EC_SEC1);
    let ingress = |created, secret| Ingress {
        created,
        ..with_tls("a.example.org", vec![tls(&["a.example.org"], secret)])
    };
    cluster.ingress("a", ingress(2, "ec")).ingress("b", ingress(1, "other"));
    let config = cluster.compile();
    assert_eq!(secret_of(&config, Some("a.example.org")).as_deref(), Some("other"));
    assert_eq!(reasons(&config), [("a", "CertificateConflict"), ("a", "PathConflict")]);
}

#[test]
fn tls_without_a_secret_asks_for_the_default_certificate() {
    let mut cluster = cluster();
    let entry = IngressTls { hosts: vec!["a.example.org".to_owned()], secret: None };
    cluster.ingress("site", with_tls("a.example.org", vec![entry]));
    assert_eq!(reasons(&cluster.compile()), [("site", "NoDefaultCertificate")]);
    cluster.settings.default_certificate = Some(key("ec"));
    let config = cluster.compile();
    assert_eq!(reasons(&config), []);
    assert_eq!(secret_of(&config, Some("a.example.org")).as_deref(), Some("ec"));
    cluster.settings.default_certificate = Some(key("gone"));
    assert_eq!(reasons(&cluster.compile()), [("gone", "SecretNotFound")]);
}

#[test]
fn routes_know_whether_their_host_has_tls() {
    let mut cluster = cluster();
    cluster.ingress("wildcard", with_tls("a.example.org", vec![tls(&["*.example.org"], "ec")]));
    cluster.ingress("plain", with_tls("b.c.example.org", vec![tls(&["*.example.org"], "ec")]));
    let config = cluster.compile();
    assert!(config.routes.find("a.example.org", "/").unwrap().route.tls);
    assert!(!config.routes.find("b.c.example.org", "/").unwrap().route.tls);
}

#[test]
fn hosts_that_annotations_add_have_the_certificate_where_it_is_for_them() {
    let mut cluster = cluster();
    let ingress = with_tls("example.org", vec![tls(&["example.org"], "ec")]);
    let annotations = [
        ("nginx.ingress.kubernetes.io/from-to-www-redirect", "true"),
        ("nginx.ingress.kubernetes.io/server-alias", "alias.example.org,alias.com"),
    ];
    cluster.ingress("site", annotated(ingress, &annotations));
    let config = cluster.compile();
    assert_eq!(reasons(&config), []);
    assert_eq!(secret_of(&config, Some("www.example.org")).as_deref(), Some("ec"));
    assert_eq!(secret_of(&config, Some("alias.example.org")).as_deref(), Some("ec"));
    assert_eq!(secret_of(&config, Some("alias.com")), None);
}

#[test]
fn a_secret_is_read_again_only_when_it_changes() {
    let mut cluster = cluster();
    cluster.ingress("site", with_tls("a.example.org", vec![tls(&["a.example.org"], "ec")]));
    let mut cache = Cache::default();
    let mut served = |cluster: &Cluster| {
        let config = crate::compile::compile(&cluster.snapshot, &cluster.settings, &mut cache);
        config.certificates.find(Some("a.example.org")).cloned()
    };
    let first = served(&cluster).unwrap();
    assert!(Arc::ptr_eq(&first, &served(&cluster).unwrap()));
    // Written anew with the same content, as when it is fetched again.
    cluster.secret("ec", EC, EC_SEC1);
    assert!(Arc::ptr_eq(&first, &served(&cluster).unwrap()));
    cluster.secret("ec", EC, EC_PKCS8);
    assert!(!Arc::ptr_eq(&first, &served(&cluster).unwrap()));
    cluster.secret("ec", EC, RSA_PKCS1);
    assert!(served(&cluster).is_none());
}
