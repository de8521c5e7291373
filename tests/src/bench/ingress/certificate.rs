//! The certificate that all proxies show.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};

use super::site::SECURE_HOST;

/// A self-signed certificate with a P-256 key, as files.
pub(super) struct Certificate {
    /// The certificate.
    pub(super) chain: PathBuf,
    /// Its key.
    pub(super) key: PathBuf,
    /// Both in one file.
    pub(super) both: PathBuf,
}

impl Certificate {
    /// Makes one.
    pub(super) fn create(files: &Path) -> Result<Self> {
        let [chain, key, both] = ["tls.crt", "tls.key", "tls.pem"].map(|name| files.join(name));
        let mut openssl = Command::new("openssl");
        openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]);
        openssl.args(["-days", "2", "-subj", &format!("/CN={SECURE_HOST}")]);
        openssl.args(["-addext", &format!("subjectAltName=DNS:{SECURE_HOST}")]);
        let output = openssl.arg("-keyout").arg(&key).arg("-out").arg(&chain).output();
        let output = output.context("cannot start openssl")?;
        ensure!(output.status.success(), "openssl: {}", String::from_utf8_lossy(&output.stderr));
        fs::write(&both, [fs::read(&chain)?, fs::read(&key)?].concat())?;
        Ok(Self { chain, key, both })
    }
}
