//! What Helm makes of the chart, kept beside it: a reader sees the objects, and a test holds them against the base.
//!
//! Helm is not needed to build or test Sluice. Each file says which chart and values it was made of, so that one that was
//! forgotten is found without Helm.

use std::{collections::BTreeMap, fs, process::Command};

use anyhow::{Context, Result, ensure};
use sha2::{Digest as _, Sha256};

use super::CHART;
use crate::{command, workspace};

/// The values that it is rendered with, `NAME.yaml` each.
const CASES: &str = "deploy/helm/cases";
const RENDERED: &str = "deploy/helm/rendered";

/// Has `helm` render each case.
pub(super) fn write(chart: &BTreeMap<String, String>) -> Result<()> {
    for (name, values) in cases()? {
        let mut helm = Command::new("helm");
        helm.current_dir(workspace::root());
        helm.args(["template", "sluice", CHART, "--namespace", "sluice", "--values"]);
        helm.arg(format!("{CASES}/{name}"));
        let output = helm.output().context("cannot start helm: install it, or leave out --render")?;
        let error = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "`{}`: {}", command::show(&helm), error.trim());
        // Helm leaves a blank line where a template was empty, and blanks where one had nothing to say.
        let text = String::from_utf8(output.stdout)?;
        let lines = text.lines().map(str::trim_end).filter(|line| !line.is_empty());
        let text: String = lines.map(|line| format!("{line}\n")).collect();
        let path = format!("{RENDERED}/{name}");
        fs::create_dir_all(workspace::root().join(RENDERED))?;
        fs::write(workspace::root().join(&path), stamp(chart, &values) + &text)?;
        println!("wrote {path}");
    }
    Ok(())
}

/// Fails where the chart or the values have changed since.
pub(super) fn check(chart: &BTreeMap<String, String>) -> Result<()> {
    for (name, values) in cases()? {
        let text = fs::read_to_string(workspace::root().join(RENDERED).join(&name)).unwrap_or_default();
        ensure!(
            text.starts_with(&stamp(chart, &values)),
            "{RENDERED}/{name} is not of this chart: run `cargo xtask charts --render`, which needs helm"
        );
    }
    Ok(())
}

fn cases() -> Result<Vec<(String, String)>> {
    let folder = workspace::root().join(CASES);
    let mut cases = Vec::new();
    for name in super::names(&folder)? {
        let text = fs::read_to_string(folder.join(&name))?;
        cases.push((name, text));
    }
    cases.sort();
    Ok(cases)
}

/// The first line of a rendered file.
fn stamp(chart: &BTreeMap<String, String>, values: &str) -> String {
    let mut digest = Sha256::new();
    for (name, text) in chart {
        // What it says about itself renders to nothing.
        if name != "README.md" {
            digest.update(format!("{name}\n{}\n{text}", text.len()));
        }
    }
    digest.update(values);
    let digest: String = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("# Made by `cargo xtask charts --render` with Helm from a chart and values of sha256:{digest}\n")
}
