//! Licences, duplicate versions and origins of the dependencies, against `deny.toml`.
//!
//! The file is cargo-deny's, so that `cargo deny check licenses bans sources` reads it too; this check needs no
//! program beyond cargo.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use anyhow::{Context, Result};
use serde::Deserialize;

use super::licence;
use crate::{command, workspace};

/// The part of `deny.toml` that is checked here.
#[derive(Deserialize)]
struct Policy {
    licenses: Licences,
    bans: Bans,
}

#[derive(Deserialize)]
struct Licences {
    allow: BTreeSet<String>,
}

#[derive(Deserialize)]
struct Bans {
    skip: Vec<Skip>,
}

#[derive(Deserialize)]
struct Skip {
    /// `name@version`; the version may be shortened at a dot.
    #[serde(rename = "crate")]
    spec: String,
    /// Why the duplicate is there and cannot be avoided.
    reason: String,
}

/// The part of `cargo metadata` that is checked here.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
    source: Option<String>,
}

/// Fails with one line per dependency that breaks the policy.
pub(crate) fn check() -> Result<()> {
    let file = workspace::root().join("deny.toml");
    let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let policy: Policy = toml::from_str(&text).with_context(|| file.display().to_string())?;
    let mut metadata = command::cargo();
    // Locked: a stale Cargo.lock is a finding, not something to mend in passing. Only what is built on Linux counts.
    metadata.args([
        "metadata",
        "--format-version=1",
        "--locked",
        "--filter-platform=x86_64-unknown-linux-gnu",
    ]);
    let output = metadata.output().context("cannot start cargo metadata")?;
    anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim_end());
    super::report(&problems(&policy, &serde_json::from_slice(&output.stdout)?))
}

fn problems(policy: &Policy, metadata: &Metadata) -> Vec<String> {
    let built: BTreeSet<&str> = metadata.resolve.nodes.iter().map(|node| node.id.as_str()).collect();
    // The workspace's own packages have no source.
    let foreign: Vec<_> = metadata
        .packages
        .iter()
        .filter(|package| built.contains(package.id.as_str()) && package.source.is_some())
        .collect();
    let mut problems = Vec::new();
    for package in &foreign {
        let Package { name, version, license, source, .. } = package;
        let license = license.as_deref().unwrap_or_default();
        if !licence::permits(license, &|licence| policy.licenses.allow.contains(licence)) {
            problems.push(format!("{name} {version}: licence `{license}` is not in deny.toml's allow list"));
        }
        let source = source.as_deref().unwrap_or_default();
        // No other registry is configured, so what comes from one comes from cargo's own.
        if !source.starts_with("registry+") {
            problems.push(format!("{name} {version}: comes from {source}, not from the registry"));
        }
    }
    problems.extend(duplicates(policy, &foreign));
    problems
}

fn duplicates(policy: &Policy, packages: &[&Package]) -> Vec<String> {
    let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for package in packages {
        versions.entry(&package.name).or_default().push(&package.version);
    }
    let mut problems = Vec::new();
    let mut used = BTreeSet::new();
    for (name, versions) in versions.iter().filter(|(_, versions)| versions.len() > 1) {
        let skips = versions
            .iter()
            .filter_map(|version| policy.bans.skip.iter().find(|skip| skip.covers(name, version)));
        let skipped: Vec<_> = skips.map(|skip| skip.spec.as_str()).collect();
        if versions.len() - skipped.len() > 1 {
            problems.push(format!("{name}: versions {} are all built; one is enough", versions.join(", ")));
        }
        used.extend(skipped);
    }
    for skip in &policy.bans.skip {
        if skip.reason.is_empty() {
            problems.push(format!("deny.toml: skip {}: say why in `reason`", skip.spec));
        }
        if !used.contains(skip.spec.as_str()) {
            problems.push(format!("deny.toml: skip {}: no such duplicate any more, remove it", skip.spec));
        }
    }
    problems
}

impl Skip {
    fn covers(&self, name: &str, version: &str) -> bool {
        let Some((skipped_name, prefix)) = self.spec.split_once('@') else { return false };
        let rest = version.strip_prefix(prefix);
        skipped_name == name && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }
}

#[cfg(test)]
mod tests;
