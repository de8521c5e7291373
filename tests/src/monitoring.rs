//! Dashboard and alert rules against what an exporter says.

pub mod page;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

const DASHBOARD: &str = include_str!("../../deploy/monitoring/dashboard.json");
const RULES: &str = include_str!("../../deploy/monitoring/rules.yaml");
const TROUBLESHOOTING: &str = include_str!("../../docs/troubleshooting.md");

/// Labels that Prometheus adds, and `le` of histograms.
const ADDED: [&str; 3] = ["instance", "job", "le"];

/// Whose metrics are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exporter {
    /// The agent.
    Agent,
    /// The proxy.
    Proxy,
}

impl Exporter {
    fn exports(self, metric: &str) -> bool {
        metric.starts_with("sluice_ingress_") == (self == Self::Proxy)
    }
}

/// What dashboard and rules ask of an exporter and it does not have, given what it says; every metric that they use must
/// have a sample in it.
pub fn missing(exporter: Exporter, text: &str) -> Vec<String> {
    let said = samples(text);
    let mut missing = Vec::new();
    for (place, query) in queries() {
        let metrics: Vec<String> =
            words(&query).filter(|word| word.starts_with("sluice_")).map(String::from).collect();
        if !metrics.iter().any(|metric| exporter.exports(metric)) {
            continue;
        }
        let mut known: BTreeSet<&str> = ADDED.into();
        for metric in &metrics {
            match said.get(metric.as_str()) {
                Some(labels) => known.extend(labels),
                None => missing.push(format!("{place}: no sample of {metric}")),
            }
        }
        missing.extend(
            labels(&query)
                .filter(|label| !known.contains(label.as_str()))
                .map(|label| format!("{place}: no label {label}")),
        );
    }
    missing
}

/// Alerts without a section in the documentation.
pub fn undocumented() -> Vec<&'static str> {
    let alerts = RULES.lines().filter_map(|line| line.trim().strip_prefix("- alert: "));
    let section = |alert: &&str| TROUBLESHOOTING.contains(&format!("\n### {alert}\n"));
    let linked =
        |alert: &&str| RULES.contains(&format!("docs/troubleshooting.md#{}\n", alert.to_lowercase()));
    alerts.filter(|alert| !section(alert) || !linked(alert)).collect()
}

/// Sample names, and the labels of each.
fn samples(text: &str) -> BTreeMap<&str, BTreeSet<&str>> {
    let mut samples = BTreeMap::<_, BTreeSet<_>>::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (name, rest) = line.split_at(line.find(['{', ' ']).unwrap_or(line.len()));
        let labels = samples.entry(name).or_default();
        if let Some((inside, _)) = rest.strip_prefix('{').and_then(|rest| rest.rsplit_once('}')) {
            labels.extend(inside.split("\",").filter_map(|pair| Some(pair.split_once('=')?.0)));
        }
    }
    samples
}

/// Every expression with the texts that name its labels, and where it stands.
fn queries() -> Vec<(String, String)> {
    let mut queries = Vec::new();
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap_or_default();
    for panel in dashboard["panels"].as_array().into_iter().flatten() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let place = format!("dashboard, {}", panel["title"]);
            queries.push((place, format!("{} {}", target["expr"], target["legendFormat"])));
        }
    }
    for alert in RULES.split("- alert: ").skip(1) {
        let name = alert.lines().next().unwrap_or_default();
        let alert = alert.split("\n    - name:").next().unwrap_or_default();
        queries.push((format!("alert {name}"), alert.replace("runbook_url: docs/", "")));
    }
    queries
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_'))
}

/// Labels in matchers, in `by (…)` and `on (…)`, in `$labels.…` and in legends.
fn labels(query: &str) -> impl Iterator<Item = String> + '_ {
    let clauses = ["by (", "on ("].into_iter().flat_map(|clause| query.split(clause).skip(1));
    let named = clauses.flat_map(|rest| words(rest.split(')').next().unwrap_or_default()));
    let templates = query.split("$labels.").skip(1).filter_map(|rest| words(rest).next());
    let legends = query.split("{{").skip(1).filter_map(|rest| rest.split("}}").next());
    let legends = legends.filter(|legend| !legend.contains(['$', ' ']));
    let matchers = query.split("sluice_").skip(1).filter_map(|rest| {
        let after = rest.trim_start_matches(|letter: char| letter.is_ascii_alphanumeric() || letter == '_');
        after.strip_prefix('{').filter(|inside| !inside.starts_with('{'))?.split('}').next()
    });
    let matched =
        matchers.flat_map(|inside| inside.split(", ").filter_map(|pair| pair.split(['=', '!']).next()));
    named
        .chain(templates)
        .chain(legends)
        .chain(matched)
        .filter(|label| !label.is_empty())
        .map(|label| label.trim_matches('\\').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_exporter_lacks_is_named() {
        let missing = missing(Exporter::Agent, "sluice_ready 1\nsluice_drops_total{reason=\"x\"} 0\n");
        let said = |text: &str| missing.iter().any(|line| line.contains(text));
        assert!(said("no sample of sluice_map_entries") && said("no label map"), "{missing:?}");
        assert!(!said("sluice_ready") && !said("sluice_ingress"), "{missing:?}");
    }

    #[test]
    fn labels_are_found_wherever_a_query_names_them() {
        let query = "sum by (a, b) (rate(sluice_x_total{c=\"1\", d!~\"2\"}[5m])) on (e) {{f}} {{ $labels.g }} {{ $value | humanize }}";
        assert_eq!(
            labels(query).collect::<BTreeSet<_>>(),
            ["a", "b", "c", "d", "e", "f", "g"].map(String::from).into()
        );
    }

    #[test]
    fn every_alert_has_its_section() {
        assert_eq!(undocumented(), Vec::<&str>::new());
    }
}
