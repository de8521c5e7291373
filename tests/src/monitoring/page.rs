//! The pages that list every metric of an exporter, made from what it says.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::Path,
};

#[derive(Default)]
struct Metric {
    kind: String,
    help: String,
    labels: BTreeSet<String>,
}

/// Compares the page `docs/NAME` with what an exporter says, or writes it where `SLUICE_WRITE_DOCS` is set.
///
/// # Errors
/// Where it cannot be written.
///
/// # Panics
/// Where the page says something else.
pub fn hold(name: &str, head: &str, text: &str) -> io::Result<()> {
    let page = page(head, text);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name);
    if std::env::var_os("SLUICE_WRITE_DOCS").is_some() {
        fs::write(&path, &page)?;
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(written, page, "docs/{name} is not what the program says: run this with SLUICE_WRITE_DOCS=1");
    Ok(())
}

fn page(head: &str, text: &str) -> String {
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
    format!("{head}\n| metric | type | labels | meaning |\n|---|---|---|---|\n{}", rows.collect::<String>())
}

/// Names of a sample's labels; `le` is the histogram's own.
fn labels(sample: &str) -> Vec<String> {
    let inside =
        sample.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map_or("", |(inside, _)| inside);
    let names = inside.split(',').filter_map(|pair| pair.split_once('=')).map(|(name, _)| name.to_owned());
    names.filter(|name| name != "le").collect()
}
