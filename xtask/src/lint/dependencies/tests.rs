use super::*;

const REGISTRY: &str = "registry.example";

fn policy(skip: &[(&str, &str)]) -> Policy {
    let skip = skip.iter().map(|(spec, reason)| Skip { spec: (*spec).into(), reason: (*reason).into() });
    Policy {
        licenses: Licences { allow: BTreeSet::from(["MIT".to_owned()]) },
        bans: Bans { skip: skip.collect() },
    }
}

fn package(name: &str, version: &str) -> Package {
    Package {
        id: format!("{name}@{version}"),
        name: name.to_owned(),
        version: version.to_owned(),
        license: Some("MIT".to_owned()),
        source: Some(format!("registry+{REGISTRY}")),
    }
}

fn metadata(packages: Vec<Package>) -> Metadata {
    let nodes = packages.iter().map(|package| Node { id: package.id.clone() }).collect();
    Metadata { packages, resolve: Resolve { nodes } }
}

#[test]
fn a_licence_that_is_not_allowed_is_named() {
    let foreign = Package { license: Some("GPL-3.0".into()), ..package("a", "1.0.0") };
    let found = problems(&policy(&[]), &metadata(vec![foreign]));
    assert_eq!(found, ["a 1.0.0: licence `GPL-3.0` is not in deny.toml's allow list"]);
}

#[test]
fn a_git_dependency_is_refused() {
    let foreign = Package { source: Some("git+https://example/a".into()), ..package("a", "1.0.0") };
    assert_eq!(problems(&policy(&[]), &metadata(vec![foreign])).len(), 1);
}

#[test]
fn the_workspaces_own_packages_and_those_not_built_are_left_alone() {
    let own = Package { license: None, source: None, ..package("own", "0.1.0") };
    let mut metadata = metadata(vec![own]);
    metadata.packages.push(Package { license: None, ..package("windows-only", "1.0.0") });
    assert_eq!(problems(&policy(&[]), &metadata), [""; 0]);
}

#[test]
fn two_versions_need_a_skip_with_a_reason() {
    let two = || metadata(vec![package("a", "1.2.3"), package("a", "2.0.0")]);
    assert_eq!(problems(&policy(&[]), &two()).len(), 1);
    assert_eq!(problems(&policy(&[("a@1.2", "b holds it")]), &two()), [""; 0]);
    assert_eq!(problems(&policy(&[("a@1.2", "")]), &two()).len(), 1);
}

#[test]
fn a_skip_covers_whole_version_numbers_only() {
    let two = metadata(vec![package("a", "1.20.0"), package("a", "2.0.0")]);
    // Neither covers a duplicate: the two versions are a finding, and so is the useless skip.
    assert_eq!(problems(&policy(&[("a@1.2", "why")]), &two).len(), 2);
}

#[test]
fn a_skip_for_a_duplicate_that_is_gone_must_go_too() {
    let one = metadata(vec![package("a", "1.0.0")]);
    assert_eq!(problems(&policy(&[("a@1", "why")]), &one).len(), 1);
}
