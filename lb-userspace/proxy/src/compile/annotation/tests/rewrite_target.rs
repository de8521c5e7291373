//! The two meanings of `rewrite-target`, by API version and key.

use lb_model::ingress::IngressVersion::{ExtensionsV1beta1, NetworkingV1, NetworkingV1beta1};

use super::*;
use crate::config::{Captures, Pattern};

const NGINX: &str = "nginx.ingress.kubernetes.io/rewrite-target";
const SHORT: &str = "ingress.kubernetes.io/rewrite-target";

/// What endpoints see of `/foo/x`, and the reasons of findings.
fn seen(
    version: IngressVersion,
    key: &str,
    target: &str,
    captures: &Captures,
) -> (String, Vec<&'static str>) {
    let (read, findings) = read_keys([(key.to_owned(), target.to_owned())].into(), version);
    let seen = read.rewrite.unwrap().apply("/foo/x", captures);
    (seen, findings.iter().map(|finding| finding.reason).collect())
}

/// The table of `docs/annotations.md`: a target without groups, for the path `/foo`.
#[test]
fn version_and_key_decide_what_a_target_without_groups_replaces() {
    let the_rest_stays = ("/bar/x".to_owned(), vec![]);
    let nothing_stays = ("/bar".to_owned(), vec!["AnnotationDoubtful"]);
    for (version, key, expected) in [
        (ExtensionsV1beta1, NGINX, &the_rest_stays),
        (ExtensionsV1beta1, SHORT, &the_rest_stays),
        (NetworkingV1beta1, NGINX, &nothing_stays),
        (NetworkingV1beta1, SHORT, &the_rest_stays),
        (NetworkingV1, NGINX, &nothing_stays),
        (NetworkingV1, SHORT, &the_rest_stays),
    ] {
        assert_eq!(seen(version, key, "/bar", &Captures::Prefix(4)), *expected, "{version:?} {key}");
    }
}

#[test]
fn a_target_with_groups_replaces_the_whole_path_everywhere() {
    let captures = Pattern::new("/foo(/|$)(.*)").unwrap().captures("/foo/x").unwrap();
    for version in [ExtensionsV1beta1, NetworkingV1beta1, NetworkingV1] {
        for key in [NGINX, SHORT] {
            assert_eq!(
                seen(version, key, "/bar/$2", &captures),
                ("/bar/x".to_owned(), vec![]),
                "{version:?} {key}"
            );
        }
    }
}

#[test]
fn the_longer_key_wins_with_its_meaning() {
    let both = [(NGINX.to_owned(), "/$1".to_owned()), (SHORT.to_owned(), "/".to_owned())].into();
    let (read, findings) = read_keys(both, NetworkingV1);
    assert_eq!(findings, []);
    assert!(read.rewrite.unwrap().has_groups());
}

#[test]
fn a_target_that_is_none_is_ignored_and_told() {
    for target in ["$host/x", "https://example.org/", "/a b", ""] {
        let (reason, message) = finding("rewrite-target", target);
        assert_eq!(reason, "AnnotationInvalid", "{message}");
    }
}
