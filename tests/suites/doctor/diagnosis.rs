//! Running `sluice doctor`, and what it says.

use std::path::Path;

use lb_tests::{
    agent::{Agent, binary},
    cluster::Cluster,
    topo::Node,
};
use serde::Deserialize;

/// What `sluice doctor` says.
#[derive(Debug)]
pub(crate) struct Diagnosis {
    exit: Option<i32>,
    findings: Vec<Finding>,
}

#[derive(Debug, Deserialize)]
struct Report {
    items: Vec<Finding>,
}

#[derive(Debug, Deserialize)]
struct Finding {
    check: String,
    status: String,
    message: String,
    mend: Option<String>,
}

/// Runs it on node-a.
pub(crate) fn diagnose(cluster: &Cluster) -> Diagnosis {
    diagnose_by(&[], &cluster.agents[0], cluster.topology.node_a())
}

/// Runs it by way of another program, which comes before it in the command line.
pub(crate) fn diagnose_by(before: &[&str], agent: &Agent, node: &Node) -> Diagnosis {
    diagnose_in(before, agent.pins().base(), node)
}

/// Runs it with a pin directory.
pub(crate) fn diagnose_in(before: &[&str], bpf_dir: &Path, node: &Node) -> Diagnosis {
    let program = binary().unwrap().display().to_string();
    let words: Vec<_> = before.iter().copied().chain([program.as_str()]).collect();
    let mut command = node.namespace.command(words[0]).unwrap();
    command.args(&words[1..]).args(["doctor", "-o", "json", "--bpf-dir"]).arg(bpf_dir);
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let report: Report = serde_json::from_str(&text)
        .unwrap_or_else(|error| panic!("{error}: {text}{}", String::from_utf8_lossy(&output.stderr)));
    Diagnosis { exit: output.status.code(), findings: report.items }
}

impl Diagnosis {
    /// Asserts that something is found, by what the message begins with, and that the mend holds a text.
    #[track_caller]
    pub(crate) fn names(&self, status: &str, check: &str, message: &str, mend: &str) {
        let found = self.findings.iter().find(|finding| {
            finding.check == check && finding.status == status && finding.message.starts_with(message)
        });
        let Some(found) = found else { panic!("no {status} {check}: {message}\n{self:#?}") };
        assert!(found.mend.as_ref().is_some_and(|text| text.contains(mend)), "{mend} mends not {found:#?}");
        let failed = self.findings.iter().any(|finding| finding.status == "FAIL");
        assert_eq!(self.exit, Some(i32::from(failed)), "{self:#?}");
    }

    /// Asserts that a check was made and has nothing to complain of.
    #[track_caller]
    pub(crate) fn passes(&self, check: &str) {
        let mut findings = self.findings.iter().filter(|finding| finding.check == check).peekable();
        assert!(findings.peek().is_some(), "nothing of {check}\n{self:#?}");
        assert!(findings.all(|finding| finding.status == "PASS"), "{check}\n{self:#?}");
    }

    /// Asserts that nothing is said about a thing.
    #[track_caller]
    pub(crate) fn says_nothing_of(&self, check: &str, thing: &str) {
        assert!(!self.speaks_of(check, thing), "{check} {thing}\n{self:#?}");
    }

    /// True where something is said about a thing.
    pub(crate) fn speaks_of(&self, check: &str, thing: &str) -> bool {
        self.findings.iter().any(|finding| finding.check == check && finding.message.contains(thing))
    }
}
