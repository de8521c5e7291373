//! `docs/annotations.md`: the annotations of Ingress.

use lb_model::annotation::{Annotation, THEMES};

/// What comes before the tables.
const BEGIN: &str = "\
# Annotations of Ingress
Made by `cargo xtask docs` from `lb-userspace/model/src/annotation/table.rs`; change it there.

A name stands behind `nginx.ingress.kubernetes.io/` or `ingress.kubernetes.io/`; where an Ingress has it under both, the
first counts. What is done otherwise than an annotation asks is in the log, in an Event of the Ingress and in
`--dump-routes`: unknown annotations and values that cannot be read are warnings, and the default stays. What guards access
and cannot be heeded is never dropped in silence: all paths of that Ingress answer 503 until it is mended, and all others
are served.

## What `rewrite-target` means
Until ingress-nginx 0.21 the part of the path that matched was replaced; since then it is the whole path, and `$1` to `$9`
are what the groups of a regular expression in the path matched. A target that names a group always has the second meaning;
for others the manifest decides. The path `/foo`, target `/bar`, a request for `/foo/x`:

| `apiVersion` | `nginx.ingress.kubernetes.io/rewrite-target` | `ingress.kubernetes.io/rewrite-target` |
|---|---|---|
| `extensions/v1beta1` | `/bar/x` | `/bar/x` |
| `networking.k8s.io/v1beta1` | `/bar`, with a warning | `/bar/x` |
| `networking.k8s.io/v1` | `/bar`, with a warning | `/bar/x` |

Default backends are not rewritten.

## How paths match
| `pathType` | without `use-regex` | with `use-regex: \"true\"` |
|---|---|---|
| `Exact` | the path itself | the path itself |
| `Prefix` | the path and what is below it, element by element | the same; a regular expression if it could be nothing else: it has a `(`, `*` or the like |
| `ImplementationSpecific` | as `Prefix` | a regular expression |

Regular expressions are those of the Rust crate `regex`: matched in linear time, without look-around and back references,
up to 1024 bytes each and 100 for an Ingress. The request's path must begin with a match, in the same case. They hold for the
Ingress that has the annotation, not for others of the same host; `rewrite-target` makes regular expressions of those paths
that could be nothing else. Of all that match, the longest path as written counts, then Exact before Prefix before a regular
expression; hosts come first: the very host, then a wildcard of one label, then rules without a host.
";

/// The page.
pub(super) fn page() -> String {
    let themes = THEMES.iter().map(|theme| {
        let rows: String = theme.annotations.iter().map(row).collect();
        format!("\n## {}\n| name | meaning | default | status |\n|---|---|---|---|\n{rows}", theme.title)
    });
    format!("{BEGIN}{}", themes.collect::<String>())
}

fn row(annotation: &Annotation) -> String {
    let Annotation { name, meaning, default, status } = annotation;
    let default = if default.is_empty() { "–" } else { default };
    format!("| `{name}` | {meaning} | {default} | {} |\n", status.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_annotation_has_its_line_of_four_cells() {
        let rows = THEMES.iter().flat_map(|theme| theme.annotations).map(row);
        for line in rows {
            assert_eq!(line.matches('|').count(), 5, "{line}");
            assert!(page().contains(&line), "{line}");
        }
    }
}
