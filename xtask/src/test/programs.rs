//! The test programs: one command builds them all, then each runs where `cargo test` would run it.
//!
//! Which features a dependency has depends on all that is built with it: a second command, for other packages, would
//! compile a third of the dependencies again.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use serde_json::Value;

use crate::tally::Tally;
use crate::{command, workspace};

/// One test program.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Program {
    /// Of its package; cargo runs it there.
    folder: PathBuf,
    pub(super) name: String,
    path: PathBuf,
}

impl Program {
    /// True for lb-tests', which need a real kernel.
    pub(super) fn needs_kernel(&self) -> bool {
        self.folder == workspace::root().join("tests")
    }

    pub(super) fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        command.current_dir(&self.folder);
        command::forget_cargo_run(&mut command);
        command
    }
}

/// Builds those tests that the arguments choose; the programs in the order of packages and names.
pub(super) fn build(chosen: &[&str]) -> Result<Vec<Program>> {
    let mut cargo = command::cargo();
    cargo.args(["test", "--no-run", "--message-format=json-render-diagnostics"]).args(chosen);
    let mut programs: Vec<_> = command::output(&mut cargo)?.lines().filter_map(program).collect();
    programs.sort();
    Ok(programs)
}

/// Runs each to its end; what they report, and a program that dies counts as one failure.
pub(super) fn run(commands: impl IntoIterator<Item = (String, Command)>) -> Result<Tally> {
    let (mut total, mut failed) = (Tally::default(), Vec::new());
    for (name, mut command) in commands {
        let mut tally = Tally::default();
        let success = command::tee(&mut command, |line| tally.read(line))?.success();
        total.add(tally.finish(&name, success));
        if !success {
            failed.push(name);
        }
    }
    if !failed.is_empty() {
        eprintln!("error: failed: {}", failed.join(", "));
    }
    Ok(total)
}

/// The test program that a message of cargo's reports.
/// Source: <https://doc.rust-lang.org/cargo/reference/external-tools.html#artifact-messages>
fn program(line: &str) -> Option<Program> {
    let message: Value = serde_json::from_str(line).ok()?;
    // Programs that tests call are built besides.
    if message["profile"]["test"] != true {
        return None;
    }
    Some(Program {
        folder: Path::new(message["manifest_path"].as_str()?).parent()?.to_owned(),
        name: message["target"]["name"].as_str()?.to_owned(),
        path: message["executable"].as_str()?.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_program_is_found_in_what_cargo_says_and_others_are_not() {
        let line = |test| {
            format!(
                r#"{{"manifest_path":"/w/a/Cargo.toml","target":{{"name":"layout"}},"profile":{{"test":{test}}},"executable":"/t/layout-1"}}"#
            )
        };
        let layout = Program { folder: "/w/a".into(), name: "layout".into(), path: "/t/layout-1".into() };
        assert_eq!(program(&line(true)), Some(layout));
        assert_eq!(program(&line(false)), None);
        assert_eq!(program(r#"{"reason":"build-finished","success":true}"#), None);
    }
}
