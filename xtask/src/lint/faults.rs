//! `docs/faults.md` and `SECURITY.md` promise a test for every fault and attack: each that they name has to exist.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context, Result, ensure};

use super::files;
use crate::workspace;

const PAGES: [&str; 2] = ["docs/faults.md", "SECURITY.md"];
const SCENARIO: &str = ".scn";

/// Fails with one line per name without a test or scenario.
pub(super) fn check() -> Result<()> {
    let mut known = BTreeSet::new();
    for file in files()? {
        if file.ends_with(".rs") {
            // A file that git knows and the user has deleted holds no test.
            let text = fs::read_to_string(workspace::root().join(&file)).unwrap_or_default();
            known.extend(functions(&text).map(str::to_owned));
        } else if let Some(scenario) = file.rsplit('/').next().filter(|name| name.ends_with(SCENARIO)) {
            known.insert(scenario.to_owned());
        }
    }
    let mut problems = Vec::new();
    for page in PAGES {
        let text = fs::read_to_string(workspace::root().join(page)).context(page)?;
        let names = names(&text);
        ensure!(!names.is_empty(), "{page} names no test");
        let unknown = names.into_iter().filter(|name| !known.contains(*name));
        problems.extend(
            unknown.map(|name| format!("{page}: `{name}` is no test: name the one that took its place")),
        );
    }
    super::report(&problems)
}

/// What stands between backticks in the last column of the table.
fn names(page: &str) -> Vec<&str> {
    let rows = page.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
    let cells = rows.filter_map(|row| row.rsplit(" | ").next());
    cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect()
}

fn functions(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| Some(line.split_once("fn ")?.1.split_once('(')?.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_from_the_last_column_only() {
        let page = "text `a`\n\n| fault `b` | seen | rule | tests |\n|---|---|---|---|\n| x | y | `z` | `one` `two.scn` |\n";
        assert_eq!(names(page), ["one", "two.scn"]);
    }

    #[test]
    fn functions_are_known_by_their_names() {
        let text = "    fn first() {\npub(crate) async fn second(x: u8) -> bool {\n// no function\n";
        assert_eq!(functions(text).collect::<Vec<_>>(), ["first", "second"]);
    }
}
