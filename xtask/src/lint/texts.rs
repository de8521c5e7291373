//! What no compiler checks: length of files, words that mark unfinished work, stray white space.

use std::fs;
use std::path::Path;

use anyhow::Result;

use super::files;
use crate::workspace;

/// The longest a source file may be: past that it has more than one subject.
const LONGEST: usize = 400;

/// Marks of unfinished work; put together here so that this file does not contain them.
const FORBIDDEN: [&str; 6] = [
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("XX", "X"),
    concat!("to", "do!("),
    concat!("unimpl", "emented!("),
    concat!("<<<<", "<<<"),
];

/// The kinds of files that people write.
const WRITTEN: [&str; 7] = ["rs", "md", "toml", "yaml", "yml", "sh", "scn"];

/// Fails with one line per finding.
pub(crate) fn check() -> Result<()> {
    let mut problems = Vec::new();
    for name in files()?.iter().filter(|name| is_written(name)) {
        // A file that git knows and the user has deleted is no finding.
        if let Ok(text) = fs::read_to_string(workspace::root().join(name)) {
            problems.extend(problems_in(name, &text));
        }
    }
    super::report(&problems)
}

fn is_written(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|extension| WRITTEN.iter().any(|written| extension == *written))
}

fn problems_in(name: &str, text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        for word in FORBIDDEN.iter().filter(|word| line.contains(**word)) {
            problems.push(format!("{name}:{number}: `{word}`: finish it or drop it"));
        }
        if line.ends_with([' ', '\t']) && !name.ends_with(".md") {
            problems.push(format!("{name}:{number}: white space at the end of the line"));
        }
    }
    let lines = text.lines().count();
    if name.ends_with(".rs") && lines > LONGEST {
        problems.push(format!("{name}: {lines} lines, more than {LONGEST}: split it by subject"));
    }
    if !text.is_empty() && !text.ends_with('\n') {
        problems.push(format!("{name}: no newline at the end"));
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finished_file_has_no_problem() {
        assert!(problems_in("a.rs", "fn f() {}\n").is_empty());
        assert!(problems_in("empty.rs", "").is_empty());
    }

    #[test]
    fn unfinished_work_is_found_with_its_line() {
        let text = format!("fn f() {{\n    {}\n}}\n", FORBIDDEN[3]);
        assert_eq!(problems_in("a.rs", &text).len(), 1);
        assert!(problems_in("a.rs", &text)[0].starts_with("a.rs:2:"));
    }

    #[test]
    fn length_is_limited_in_sources_only() {
        let long = "//\n".repeat(LONGEST + 1);
        assert_eq!(problems_in("a.rs", &long).len(), 1);
        assert!(problems_in("a.md", &long).is_empty());
    }

    #[test]
    fn stray_white_space_and_a_missing_newline_are_found() {
        assert_eq!(problems_in("a.yaml", "a: \nb: 1").len(), 2);
    }
}
