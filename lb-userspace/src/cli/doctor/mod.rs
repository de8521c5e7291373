//! `sluice doctor`: what keeps Sluice from working well on this node, and how to mend it.

mod facts;
mod gather;
mod judge;
mod kube_proxy;
#[cfg(test)]
mod tests;

use std::{io, path::Path, process::ExitCode};

use serde::Serialize;

use self::judge::{Finding, Status, judge};
use super::{
    CliError,
    args::{DoctorArgs, Report},
    output::{self, API_VERSION},
};
use crate::dataplane::pin::PinDir;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Diagnosis<'a> {
    api_version: &'static str,
    kind: &'static str,
    status: Status,
    items: &'a [Finding],
}

/// Runs the verb; fails where a finding does.
pub(crate) fn run(bpf_dir: &Path, args: &DoctorArgs, out: &mut impl io::Write) -> Result<ExitCode, CliError> {
    let findings = judge(&gather::gather(&PinDir::new(bpf_dir), &args.ports.snat_ports.0)?);
    let status = findings.iter().map(|finding| finding.status).max().unwrap_or(Status::Pass);
    let diagnosis = Diagnosis { api_version: API_VERSION, kind: "Diagnosis", status, items: &findings };
    match args.output {
        Report::Text => print(out, &findings)?,
        Report::Json => output::print_json(out, &diagnosis)?,
        Report::Yaml => output::print_yaml(out, &diagnosis)?,
    }
    Ok(if status == Status::Fail { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn print(out: &mut impl io::Write, findings: &[Finding]) -> Result<(), CliError> {
    let width = findings.iter().map(|finding| finding.check.len()).max().unwrap_or_default();
    for finding in findings {
        let status = match finding.status {
            Status::Pass => "PASS",
            Status::Note => "NOTE",
            Status::Warn => "WARN",
            Status::Fail => "FAIL",
        };
        writeln!(out, "{status}  {:width$}  {}", finding.check, finding.message)?;
        if let Some(mend) = &finding.mend {
            writeln!(out, "      {:width$}  mend: {mend}", "")?;
        }
    }
    let count = |status| findings.iter().filter(|finding| finding.status == status).count();
    let [passed, noted, warned, failed] = [Status::Pass, Status::Note, Status::Warn, Status::Fail].map(count);
    writeln!(out, "{passed} passed, {noted} noted, {warned} warned, {failed} failed")?;
    Ok(())
}
