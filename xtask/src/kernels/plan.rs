//! What runs in the guest.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Result, ensure};
use serde_json::Value;

use crate::command;

/// The last line of a guest in which every program has succeeded; `tests/src/guest` prints it.
pub(super) const END: &str = "guest: every program has succeeded";

/// The suites of lb-tests that run in the guest.
pub(super) const SUITES: [&str; 2] = ["prog_run", "guest"];

/// The modules that they need.
pub(super) const MODULES: [&str; 8] =
    ["virtio_pci", "virtio_net", "veth", "vxlan", "bridge", "sch_ingress", "cls_bpf", "8021q"];

/// The programs of the system that they call.
pub(super) const TOOLS: [&str; 4] = ["ip", "bridge", "ethtool", "tc"];

/// Builds the suites; the path of each by its name.
pub(super) fn build() -> Result<BTreeMap<String, PathBuf>> {
    let mut cargo = command::cargo();
    // With the features of the whole workspace, with which `cargo xtask test` has built their dependencies.
    cargo.args(["test", "--workspace", "--no-run", "--message-format=json-render-diagnostics"]);
    for suite in SUITES {
        cargo.args(["--test", suite]);
    }
    let messages = command::output(&mut cargo)?;
    let programs = messages.lines().filter_map(executable).collect::<BTreeMap<_, _>>();
    for program in SUITES.into_iter().chain(["guest_init", "pod"]) {
        ensure!(programs.contains_key(program), "cargo did not name the program {program}");
    }
    Ok(programs)
}

/// The program that a message of cargo's reports, and the name of its target.
/// Source: <https://doc.rust-lang.org/cargo/reference/external-tools.html#artifact-messages>
fn executable(line: &str) -> Option<(String, PathBuf)> {
    let message: Value = serde_json::from_str(line).ok()?;
    let path = message["executable"].as_str()?;
    Some((message["target"]["name"].as_str()?.to_owned(), path.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_of_a_suite_is_found_in_what_cargo_says() {
        let line =
            r#"{"reason":"compiler-artifact","target":{"name":"prog_run"},"executable":"/t/prog_run-1"}"#;
        assert_eq!(executable(line), Some(("prog_run".into(), "/t/prog_run-1".into())));
        assert_eq!(executable(r#"{"reason":"build-finished","success":true}"#), None);
    }
}
