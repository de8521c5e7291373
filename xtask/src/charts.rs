//! `cargo xtask charts`: the Helm chart, from the objects of the kustomize base and a table of what a user can set.

mod rendered;
mod settings;
mod template;
mod values;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use self::{
    settings::{SETTINGS, Setting},
    template::Writer,
};
use crate::workspace;

const CHART: &str = "deploy/helm/sluice";

/// What is the same whatever the base says. Templates read what is below `files`.
const FIXED: [(&str, &str); 9] = [
    ("templates/_helpers.tpl", include_str!("charts/fixed/_helpers.tpl")),
    ("templates/externalips.yaml", include_str!("charts/fixed/externalips.yaml")),
    ("templates/podmonitor.yaml", include_str!("charts/fixed/podmonitor.yaml")),
    ("templates/ingress-podmonitor.yaml", include_str!("charts/fixed/ingress-podmonitor.yaml")),
    ("templates/prometheusrule.yaml", include_str!("charts/fixed/prometheusrule.yaml")),
    ("templates/grafanadashboard.yaml", include_str!("charts/fixed/grafanadashboard.yaml")),
    ("files/rules.yaml", include_str!("../../deploy/monitoring/rules.yaml")),
    ("files/dashboard.json", include_str!("../../deploy/monitoring/dashboard.json")),
    ("templates/NOTES.txt", include_str!("charts/fixed/NOTES.txt")),
];

/// Writes the chart and removes what is no part of it any more; with `render`, also what Helm makes of it.
pub(crate) fn run(render: bool) -> Result<ExitCode> {
    let chart = chart()?;
    let folder = workspace::root().join(CHART);
    for stale in names(&folder)?.iter().filter(|name| !chart.contains_key(*name)) {
        fs::remove_file(folder.join(stale)).with_context(|| stale.clone())?;
    }
    for (name, text) in &chart {
        let path = folder.join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&path, text).with_context(|| path.display().to_string())?;
    }
    println!("wrote {CHART}");
    if render {
        rendered::write(&chart)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Fails where the chart is not what the base and the table make, or Helm rendered another one.
pub(crate) fn check() -> Result<()> {
    let chart = chart()?;
    let folder = workspace::root().join(CHART);
    let written = names(&folder)?;
    for name in chart.keys().chain(&written) {
        let text = fs::read_to_string(folder.join(name)).unwrap_or_default();
        if chart.get(name) != Some(&text) {
            bail!("{CHART}/{name} does not match deploy/kustomize: run `cargo xtask charts`");
        }
    }
    rendered::check(&chart)
}

/// The chart's files by their names.
fn chart() -> Result<BTreeMap<String, String>> {
    let [agent, ingress] = ["base", "ingress"].map(objects);
    let (agent, ingress) = (agent?, ingress?);
    let of_ingress = |setting: &Setting| setting.name.starts_with("ingress.");
    let defaults: Vec<Value> = SETTINGS
        .iter()
        .map(|setting| values::default(setting, if of_ingress(setting) { &ingress } else { &agent }))
        .collect::<Result<_>>()?;
    let mut chart: BTreeMap<String, String> =
        FIXED.map(|(name, text)| (name.to_owned(), text.to_owned())).into();
    let settings = |wanted: bool| SETTINGS.iter().filter(|setting| of_ingress(setting) == wanted).collect();
    for (prefix, objects, settings) in [("", agent, settings(false)), ("ingress-", ingress, settings(true))] {
        let mut writer = Writer::new(settings);
        for object in &objects {
            let kind = object["kind"].as_str().unwrap_or_default().to_lowercase();
            // Helm makes the namespace of a release, or finds it.
            if kind == "namespace" {
                continue;
            }
            let mut text = writer.object(object)?;
            if !prefix.is_empty() {
                text = format!("{{{{- if .Values.ingress.enabled }}}}\n{text}{{{{- end }}}}\n");
            }
            let name = format!("templates/{prefix}{kind}.yaml");
            ensure!(chart.insert(name, text).is_none(), "{prefix}: two objects of kind {kind}");
        }
        writer.finish()?;
    }
    chart.insert("Chart.yaml".to_owned(), metadata());
    chart.insert("values.yaml".to_owned(), values::yaml(&defaults));
    chart.insert("values.schema.json".to_owned(), format!("{:#}\n", values::schema()));
    let readme = include_str!("charts/fixed/README.md").to_owned() + &values::table(&defaults);
    chart.insert("README.md".to_owned(), readme);
    Ok(chart)
}

fn metadata() -> String {
    let version = env!("CARGO_PKG_VERSION");
    format!(
        "apiVersion: v2\n\
         name: sluice\n\
         description: XDP load balancer for Kubernetes north-south traffic\n\
         type: application\n\
         version: {version}\n\
         appVersion: {version:?}\n\
         kubeVersion: \">= 1.25.0-0\"\n"
    )
}

/// The objects of a kustomization as it applies them: with its namespace and its labels.
fn objects(folder: &str) -> Result<Vec<Value>> {
    let folder = workspace::root().join("deploy/kustomize").join(folder);
    let read = |name: &str| -> Result<Vec<Value>> {
        let path = folder.join(name);
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        serde_saphyr::from_multiple(&text).with_context(|| path.display().to_string())
    };
    let kustomization = read("kustomization.yaml")?.into_iter().next().context("no kustomization")?;
    let names = kustomization["resources"].as_array().context("no resources")?;
    let mut objects = Vec::new();
    for name in names.iter().filter_map(Value::as_str) {
        objects.extend(read(name)?);
    }
    for object in &mut objects {
        let kind = object["kind"].as_str().unwrap_or_default();
        if !["Namespace", "ClusterRole", "ClusterRoleBinding", "IngressClass"].contains(&kind) {
            object["metadata"]["namespace"] = kustomization["namespace"].clone();
        }
        for (label, value) in kustomization["labels"][0]["pairs"].as_object().into_iter().flatten() {
            if object["metadata"]["labels"].is_null() {
                object["metadata"]["labels"] = json!({});
            }
            object["metadata"]["labels"][label] = value.clone();
        }
    }
    Ok(objects)
}

/// The files below a folder, by their names in it.
fn names(folder: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(below) = folders.pop() {
        let Ok(entries) = fs::read_dir(folder.join(&below)) else { continue };
        for entry in entries {
            let entry = entry?;
            let name = below.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                folders.push(name);
            } else {
                names.push(name.display().to_string());
            }
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_chart_is_what_the_base_and_the_table_make() {
        check().unwrap_or_else(|error| panic!("{error:#}"));
    }
}
