//! Keeping Debian's packages from running the services that come with them.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::command;

/// What maintainer scripts ask before they start a service: `invoke-rc.d(8)`, "policy-rc.d".
const POLICY: &str = "/usr/sbin/policy-rc.d";
/// "Action forbidden by policy".
const DENY: &[u8] = b"#!/bin/sh\nexit 101\n";

/// As long as it lives, no package starts a service.
pub(crate) struct Denied {
    /// The machine had a policy of its own, which decides.
    kept: bool,
}

impl Denied {
    /// Denies from now on.
    pub(crate) fn for_now() -> Result<Self> {
        let kept = Path::new(POLICY).exists();
        if !kept {
            let mut options = fs::OpenOptions::new();
            let file = options.write(true).create_new(true).mode(0o755).open(POLICY);
            file.and_then(|mut file| file.write_all(DENY))
                .with_context(|| format!("cannot write {POLICY}"))?;
        }
        Ok(Self { kept })
    }
}

impl Drop for Denied {
    fn drop(&mut self) {
        if !self.kept {
            // Only what was written above can be there.
            let _ = fs::remove_file(POLICY);
        }
    }
}

/// Has a service not start with the machine. A program without one is let be.
pub(crate) fn disable(name: &str) -> Result<()> {
    if Path::new("/etc/init.d").join(name).exists() {
        return command::run(Command::new("update-rc.d").args([name, "disable"]));
    }
    let unit = Path::new("/lib/systemd/system").join(format!("{name}.service"));
    match command::find("systemctl") {
        Some(systemctl) if unit.exists() => command::run(Command::new(systemctl).args(["disable", name])),
        _ => Ok(()),
    }
}
