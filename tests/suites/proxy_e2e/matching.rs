//! The examples of the API's documentation, row by row
//! (<https://kubernetes.io/docs/concepts/services-networking/ingress/#examples> and `#hostname-wildcards`).

use super::{
    endpoint::Endpoint,
    site::{Site, possible, service},
};

/// Paths with their types, a request's path, and which of the paths it matches.
type Row = (&'static [(&'static str, &'static str)], &'static str, Option<usize>);

const ROWS: [Row; 20] = [
    (&[("Prefix", "/")], "/", Some(0)),
    (&[("Prefix", "/")], "/all/paths", Some(0)),
    (&[("Exact", "/foo")], "/foo", Some(0)),
    (&[("Exact", "/foo")], "/bar", None),
    (&[("Exact", "/foo")], "/foo/", None),
    (&[("Exact", "/foo/")], "/foo", None),
    (&[("Prefix", "/foo")], "/foo", Some(0)),
    (&[("Prefix", "/foo")], "/foo/", Some(0)),
    (&[("Prefix", "/foo/")], "/foo", Some(0)),
    (&[("Prefix", "/foo/")], "/foo/", Some(0)),
    (&[("Prefix", "/aaa/bb")], "/aaa/bbb", None),
    (&[("Prefix", "/aaa/bbb")], "/aaa/bbb", Some(0)),
    (&[("Prefix", "/aaa/bbb/")], "/aaa/bbb", Some(0)),
    (&[("Prefix", "/aaa/bbb")], "/aaa/bbb/ccc", Some(0)),
    (&[("Prefix", "/aaa/bbb")], "/aaa/bbbxyz", None),
    (&[("Prefix", "/"), ("Prefix", "/aaa")], "/aaa/ccc", Some(1)),
    (&[("Prefix", "/"), ("Prefix", "/aaa"), ("Prefix", "/aaa/bbb")], "/aaa/bbb", Some(2)),
    (&[("Prefix", "/"), ("Prefix", "/aaa"), ("Prefix", "/aaa/bbb")], "/ccc", Some(0)),
    (&[("Prefix", "/aaa")], "/ccc", None),
    (&[("Prefix", "/foo"), ("Exact", "/foo")], "/foo", Some(1)),
];

const NAMES: [&str; 3] = ["first", "second", "third"];
const FALLBACK: &str = "fallback";

fn ingress(name: &str, host: &str, paths: &[(&str, &str)]) -> String {
    let paths: String = paths
        .iter()
        .zip(NAMES)
        .map(|((kind, path), service)| {
            format!(
                "      - {{path: {path:?}, pathType: {kind}, backend: {{service: {{name: {service}, port: {{number: 80}}}}}}}}\n"
            )
        })
        .collect();
    format!(
        "---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {{name: {name}, namespace: default}}
spec:
  rules:
  - host: {host:?}
    http:
      paths:
{paths}"
    )
}

/// A site with three Services and one that answers what matches no rule; each answers with its name.
fn site(ingresses: &str) -> Site {
    let namespace = Site::namespace();
    let mut text = ingresses.to_owned();
    for (number, name) in (1..).zip(NAMES.iter().chain([&FALLBACK])) {
        let endpoint = Endpoint::start(&namespace, &format!("10.1.0.{number}:8000"), move |_, stream| {
            super::endpoint::ok(stream, name)
        });
        text.push_str(&service(name, &[endpoint.address]));
    }
    Site::start_in(namespace, &text, &["--default-backend", "default/fallback"])
}

#[test]
fn paths_match_as_in_every_example_of_the_documentation() {
    if !possible() {
        return;
    }
    let host = |number: usize| format!("row-{number}.example");
    let each = ROWS.iter().enumerate();
    let ingresses: String = each
        .clone()
        .map(|(number, (paths, ..))| ingress(&format!("row-{number}"), &host(number), paths))
        .collect();
    let site = site(&ingresses);
    for (number, (paths, path, wanted)) in each {
        let answer = site.get(&host(number), path, &[]).text();
        assert_eq!(answer, wanted.map_or(FALLBACK, |place| NAMES[place]), "{path} at {paths:?}");
    }
}

#[test]
fn a_wildcard_stands_for_one_label() {
    if !possible() {
        return;
    }
    let site = site(
        &(ingress("wildcard", "*.foo.com", &[("Prefix", "/")])
            + &ingress("precise", "own.foo.com", &[("Exact", "/none"), ("Prefix", "/")])),
    );
    for (host, wanted) in [
        ("bar.foo.com", NAMES[0]),
        ("baz.bar.foo.com", FALLBACK),
        ("foo.com", FALLBACK),
        ("own.foo.com", NAMES[1]),
        ("own.foo.com:8080", NAMES[1]),
    ] {
        assert_eq!(site.get(host, "/", &[]).text(), wanted, "{host}");
    }
}
