//! The table of the API's documentation, and the precedence of routes against a model that tries them all.

mod precedence;

use super::*;
use crate::config::{Action, Policy};
use lb_model::object::ObjectKey;

use PathType::{Exact, Prefix};

pub(super) fn route(host: Option<&str>, path: &str, path_type: PathType) -> Arc<Route> {
    Arc::new(Route {
        ingress: Arc::new(ObjectKey::new("default", "test")),
        host: host.map(Into::into),
        path: path.into(),
        path_type,
        pattern: false,
        action: Action::Unavailable("no endpoints in this test".into()),
        rewrite: None,
        policy: Arc::new(Policy::default()),
        error_backend: None,
        tls: false,
    })
}

fn pattern(host: Option<&str>, text: &str) -> Arc<Route> {
    let mut route = (*route(host, text, PathType::ImplementationSpecific)).clone();
    route.pattern = true;
    Arc::new(route)
}

/// What a request finds: the type and the path of its route.
fn found(routes: &Routes, host: &str, path: &str) -> Option<(PathType, String)> {
    routes.find(host, path).map(|found| (found.route.path_type, found.route.path.to_string()))
}

/// One row of the table: the rules, the request's path, and the rule that it finds.
type Row = (&'static [(PathType, &'static str)], &'static str, Option<(PathType, &'static str)>);

/// <https://kubernetes.io/docs/concepts/services-networking/ingress/#examples>, every row, and after them what the
/// comment of `HTTPIngressPath.pathType` adds.
const DOCUMENTED: &[Row] = &[
    (&[(Prefix, "/")], "/", Some((Prefix, "/"))),
    (&[(Prefix, "/")], "/any/path", Some((Prefix, "/"))),
    (&[(Exact, "/foo")], "/foo", Some((Exact, "/foo"))),
    (&[(Exact, "/foo")], "/bar", None),
    (&[(Exact, "/foo")], "/foo/", None),
    (&[(Exact, "/foo/")], "/foo", None),
    (&[(Prefix, "/foo")], "/foo", Some((Prefix, "/foo"))),
    (&[(Prefix, "/foo")], "/foo/", Some((Prefix, "/foo"))),
    (&[(Prefix, "/foo/")], "/foo", Some((Prefix, "/foo/"))),
    (&[(Prefix, "/foo/")], "/foo/", Some((Prefix, "/foo/"))),
    (&[(Prefix, "/aaa/bb")], "/aaa/bbb", None),
    (&[(Prefix, "/aaa/bbb")], "/aaa/bbb", Some((Prefix, "/aaa/bbb"))),
    (&[(Prefix, "/aaa/bbb/")], "/aaa/bbb", Some((Prefix, "/aaa/bbb/"))),
    (&[(Prefix, "/aaa/bbb")], "/aaa/bbb/", Some((Prefix, "/aaa/bbb"))),
    (&[(Prefix, "/aaa/bbb")], "/aaa/bbb/ccc", Some((Prefix, "/aaa/bbb"))),
    (&[(Prefix, "/aaa/bbb")], "/aaa/bbbxyz", None),
    (&[(Prefix, "/"), (Prefix, "/aaa")], "/aaa/ccc", Some((Prefix, "/aaa"))),
    (&[(Prefix, "/"), (Prefix, "/aaa"), (Prefix, "/aaa/bbb")], "/aaa/bbb", Some((Prefix, "/aaa/bbb"))),
    (&[(Prefix, "/"), (Prefix, "/aaa"), (Prefix, "/aaa/bbb")], "/ccc", Some((Prefix, "/"))),
    (&[(Prefix, "/aaa")], "/ccc", None),
    (&[(Exact, "/foo"), (Prefix, "/foo")], "/foo", Some((Exact, "/foo"))),
    (&[(Prefix, "/foo"), (Exact, "/foo")], "/foo/", Some((Prefix, "/foo"))),
    (&[(Prefix, "/foo"), (Prefix, "/foo/")], "/foo", Some((Prefix, "/foo/"))),
    (&[(Prefix, "/foo"), (Prefix, "/foo/")], "/foo/", Some((Prefix, "/foo/"))),
    (&[(Prefix, "/foo/bar")], "/foo/barbaz", None),
    (&[(Prefix, "/foo/bar")], "/foo/bar/baz", Some((Prefix, "/foo/bar"))),
    (&[(Prefix, "/foo")], "/FOO", None),
    (&[(Exact, "/foo")], "/FOO", None),
    (&[(Exact, "/")], "/", Some((Exact, "/"))),
    (&[(Exact, "/")], "/foo", None),
];

#[test]
fn paths_match_as_the_api_documentation_says() {
    for (rules, request, expected) in DOCUMENTED {
        let mut routes = Routes::default();
        for (path_type, path) in *rules {
            routes.insert(route(None, path, *path_type)).unwrap();
        }
        let expected = expected.map(|(path_type, path)| (path_type, path.to_owned()));
        assert_eq!(found(&routes, "example.org", request), expected, "{rules:?}, asked for {request}");
    }
}

/// <https://kubernetes.io/docs/concepts/services-networking/ingress/#hostname-wildcards>, every row.
#[test]
fn wildcard_hosts_stand_for_one_label() {
    let mut routes = Routes::default();
    routes.insert(route(Some("*.foo.com"), "/", Prefix)).unwrap();
    for (host, matches) in [
        ("bar.foo.com", true),
        ("baz.bar.foo.com", false),
        ("foo.com", false),
        (".foo.com", false),
        ("", false),
    ] {
        assert_eq!(routes.find(host, "/").is_some(), matches, "{host}");
    }
}

#[test]
fn the_very_host_comes_before_a_wildcard_before_every_host() {
    let mut routes = Routes::default();
    routes.insert(route(None, "/any/longer/path", Exact)).unwrap();
    routes.insert(route(None, "/any", Prefix)).unwrap();
    routes.insert(route(Some("*.foo.com"), "/", Prefix)).unwrap();
    routes.insert(route(Some("bar.foo.com"), "/a", Prefix)).unwrap();
    let host = |host, path| routes.find(host, path).map(|found| found.route.host.clone());
    assert_eq!(host("bar.foo.com", "/a/b"), Some(Some("bar.foo.com".into())));
    assert_eq!(host("bar.foo.com", "/any/longer/path"), Some(Some("*.foo.com".into())));
    assert_eq!(host("other.org", "/any/longer/path"), Some(None));
    assert_eq!(host("other.org", "/x"), None);
}

#[test]
fn a_default_backend_takes_what_no_path_of_its_host_matches() {
    let mut routes = Routes::default();
    routes.insert(route(Some("foo.com"), "/a", Prefix)).unwrap();
    routes.insert_host_default(route(Some("foo.com"), "", Prefix)).unwrap();
    routes.insert(route(None, "/b", Prefix)).unwrap();
    assert_eq!(found(&routes, "foo.com", "/a"), Some((Prefix, "/a".to_owned())));
    assert_eq!(found(&routes, "foo.com", "/b"), Some((Prefix, String::new())));
    assert_eq!(found(&routes, "bar.com", "/c"), None);
    routes.insert_default(route(None, "", Prefix)).unwrap();
    assert_eq!(found(&routes, "bar.com", "/c"), Some((Prefix, String::new())));
}

#[test]
fn the_longest_pattern_comes_first_and_competes_by_its_length() {
    let mut routes = Routes::default();
    for text in ["/a.*", "/a/[a-z]+/(x|y)", "/a/[0-9]+"] {
        routes.insert_pattern(Pattern::new(text).unwrap(), pattern(None, text)).unwrap();
    }
    routes.insert(route(None, "/a/b/c", Prefix)).unwrap();
    let found = |path| found(&routes, "", path).map(|(_, path)| path);
    assert_eq!(found("/a/b/x").as_deref(), Some("/a/[a-z]+/(x|y)"));
    assert_eq!(found("/a/7").as_deref(), Some("/a/[0-9]+"));
    assert_eq!(found("/a/b/c").as_deref(), Some("/a/b/c"));
    assert_eq!(found("/abc").as_deref(), Some("/a.*"));
    assert_eq!(found("/b").as_deref(), None);
    let again = routes.insert_pattern(Pattern::new("/a.*").unwrap(), pattern(None, "/a.*"));
    assert_eq!(&*again.unwrap_err().path, "/a.*");
}

#[test]
fn who_has_a_place_keeps_it() {
    let mut routes = Routes::default();
    routes.insert(route(None, "/foo", Prefix)).unwrap();
    routes.insert(route(None, "/foo/", Prefix)).unwrap();
    routes.insert(route(None, "/foo", Exact)).unwrap();
    let owner = routes.insert(route(None, "/foo", PathType::ImplementationSpecific)).unwrap_err();
    assert_eq!((owner.path_type, &*owner.path), (Prefix, "/foo"));
}

#[test]
fn what_a_prefix_matched_is_known_to_the_rewrite() {
    let mut routes = Routes::default();
    routes.insert(route(None, "/foo/", Prefix)).unwrap();
    let matched = |path| routes.find("", path).unwrap().captures;
    assert_eq!(matched("/foo/bar"), Captures::Prefix(4));
    assert_eq!(matched("/foo"), Captures::Prefix(4));
}
