//! A certificate that only this run trusts.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

/// The hosts of the Ingresses that began this project.
pub const HOSTS: [&str; 1] = ["foo.bar.com"];

/// A Secret with a fresh certificate for some hosts, signed by itself.
///
/// # Errors
/// Where openssl fails.
pub fn secret(name: &str, hosts: &[&str]) -> Result<String> {
    let directory = TempDir::new()?;
    let (key, certificate) = (directory.path().join("key"), directory.path().join("certificate"));
    let hosts: Vec<_> = hosts.iter().map(|host| format!("DNS:{host}")).collect();
    let status = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-nodes",
            "-days",
            "2",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
        ])
        .args(["-subj", &format!("/CN={name}"), "-addext", &format!("subjectAltName={}", hosts.join(","))])
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .stderr(Stdio::null())
        .status()
        .context("cannot start openssl")?;
    ensure!(status.success(), "openssl failed: {status}");
    Ok(format!(
        "---\napiVersion: v1\nkind: Secret\nmetadata: {{name: {name}, namespace: default}}\ntype: kubernetes.io/tls\n\
         stringData:\n  tls.crt: |\n{}  tls.key: |\n{}",
        indented(&certificate)?,
        indented(&key)?
    ))
}

fn indented(path: &Path) -> Result<String> {
    Ok(fs::read_to_string(path)?.lines().map(|line| format!("    {line}\n")).collect())
}
