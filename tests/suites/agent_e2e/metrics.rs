//! `docs/metrics.md` lists every metric of a working agent, with its labels.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use lb_tests::{
    monitoring::{Exporter, missing},
    skip, wait,
};

use crate::node::Node;

const HEAD: &str = "# Metrics of the agent
Served on `--admin` under `/metrics`, in the OpenMetrics format. Made by the test `agent_e2e metrics` from what an agent says:
after a change, run it as root with `SLUICE_WRITE_DOCS=1`.

| metric | type | labels | meaning |
|---|---|---|---|
";

/// Something refused, so that its metric has a sample.
const REFUSED: &str = "
apiVersion: v1
kind: Service
metadata: {name: claim, namespace: shop}
spec: {externalIPs: [198.51.100.9], ports: [{port: 80}]}
";

#[derive(Default)]
struct Metric {
    kind: String,
    help: String,
    labels: BTreeSet<String>,
}

#[test]
fn every_metric_is_in_the_documentation() {
    if !skip::need(skip::NETWORK) {
        return;
    }
    let node = Node::new();
    node.write("claim.yaml", REFUSED);
    let _agent = node.start(&[]);
    let text = wait::until("everything has a sample", || {
        let (_, text) = node.admin("/metrics")?;
        let has_all = ["sluice_refused_objects{", "sluice_source_connected{", "{map=\"flows\"}"]
            .iter()
            .all(|name| text.contains(name));
        has_all.then_some(text)
    })
    .unwrap();
    let lacking = missing(Exporter::Agent, &text);
    assert_eq!(lacking, Vec::<String>::new(), "dashboard or alerts ask for what the agent does not say");
    let page = page(&text);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/metrics.md");
    if std::env::var_os("SLUICE_WRITE_DOCS").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        written, page,
        "docs/metrics.md is not what the agent says: run this with SLUICE_WRITE_DOCS=1"
    );
}

fn page(text: &str) -> String {
    let mut metrics = BTreeMap::<&str, Metric>::new();
    let mut last = "";
    for line in text.lines() {
        let words: Vec<_> = line.splitn(4, ' ').collect();
        match words[..] {
            ["#", "HELP", name, help] => {
                last = name;
                metrics.entry(name).or_default().help = help.trim_end_matches('.').to_owned();
            }
            ["#", "TYPE", name, kind] => metrics.entry(name).or_default().kind = kind.to_owned(),
            _ if !line.starts_with('#') => metrics.entry(last).or_default().labels.extend(labels(line)),
            _ => {}
        }
    }
    let rows = metrics.iter().map(|(name, metric)| {
        // The suffixes that the format adds to samples are part of the names that queries use.
        let suffix = match metric.kind.as_str() {
            "counter" => "_total",
            "info" => "_info",
            _ => "",
        };
        let labels: Vec<_> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        let labels = if labels.is_empty() { "–".to_owned() } else { labels.join(", ") };
        format!("| `{name}{suffix}` | {} | {} | {} |\n", metric.kind, labels, metric.help)
    });
    HEAD.to_owned() + &rows.collect::<String>()
}

/// Names of a sample's labels; `le` is the histogram's own.
fn labels(sample: &str) -> Vec<String> {
    let inside =
        sample.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map_or("", |(inside, _)| inside);
    let names = inside.split(',').filter_map(|pair| pair.split_once('=')).map(|(name, _)| name.to_owned());
    names.filter(|name| name != "le").collect()
}
