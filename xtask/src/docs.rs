//! `cargo xtask docs`: the pages under `docs/` that are made from the code, so that they cannot say anything else.

mod annotations;

use std::fs;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use lb_common::drop_reason::DropReason;
use lb_common::stat::Stat;

use crate::workspace;

type Page = fn() -> String;

/// Where each page is, and what makes it.
const PAGES: [(&str, Page); 2] =
    [("docs/drop-reasons.md", drop_reasons), ("docs/annotations.md", annotations::page)];

/// Writes the pages.
pub(crate) fn run() -> Result<ExitCode> {
    for (name, page) in PAGES {
        let path = workspace::root().join(name);
        fs::write(&path, page()).with_context(|| format!("cannot write {}", path.display()))?;
        println!("wrote {name}");
    }
    Ok(ExitCode::SUCCESS)
}

/// Fails where a page is not what the code says.
pub(crate) fn check() -> Result<()> {
    for (name, page) in PAGES {
        let path = workspace::root().join(name);
        let written = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        if written != page() {
            bail!("{name} does not match the code: run `cargo xtask docs`");
        }
    }
    Ok(())
}

fn drop_reasons() -> String {
    let reasons = DropReason::ALL.map(|reason| (reason.as_str(), reason.describe()));
    let events = Stat::ALL.map(|stat| (stat.as_str(), stat.describe()));
    format!(
        "# Why packets are dropped, and what else happens to them\n\
         Made by `cargo xtask docs` from `lb-common/src/drop_reason.rs` and `lb-common/src/stat.rs`; change it there.\n\
         \n\
         ## Drops\n\
         Each packet that Sluice drops, or answers in an endpoint's stead, counts under one reason: `sluice get drops` shows the\n\
         counts, `sluice_drops_total{{reason=\"…\"}}` carries them to Prometheus, and `sluice trace` names the reason for one packet.\n\
         \n\
         {}\n\
         ## Events\n\
         Nothing is lost here; `sluice_events_total{{event=\"…\"}}` counts how often each happened.\n\
         \n\
         {}",
        table("reason", &reasons),
        table("event", &events),
    )
}

fn table(what: &str, rows: &[(&str, &str)]) -> String {
    let rows = rows.iter().map(|(name, meaning)| format!("| `{name}` | {} |\n", meaning.replace('|', "\\|")));
    format!("| {what} | meaning |\n|---|---|\n{}", rows.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_pages_are_what_the_code_says() {
        check().unwrap_or_else(|error| panic!("{error:#}"));
    }

    #[test]
    fn every_reason_and_every_event_has_its_line() {
        let page = drop_reasons();
        let lines = page.lines().filter(|line| line.starts_with("| `")).count();
        assert_eq!(lines, DropReason::ALL.len() + Stat::ALL.len());
    }

    #[test]
    fn a_bar_in_a_sentence_does_not_end_the_cell() {
        assert!(table("reason", &[("a", "b | c")]).ends_with("| `a` | b \\| c |\n"));
    }
}
