//! `sluice bugreport`: everything that a stranger needs to look into a node, in one archive, and no secrets.

mod archive;
mod collect;
mod parts;
mod redact;

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;
use k8s_openapi::jiff::Timestamp;
use nix::sys::utsname::uname;

use self::archive::Archive;
use super::{
    CliError,
    agent_flags::{self, AdminFlag},
};

/// `sluice bugreport`.
#[derive(Debug, Args)]
#[command(
    after_help = "Each part is bounded in size and time; manifest.json in the archive names what is missing and why. Without root \
                  what needs none is collected. Secrets, tokens, keys and environment variables are left out, but addresses and \
                  names of Services are not: look before you send it to somebody."
)]
pub(crate) struct BugreportArgs {
    /// Where to write the archive [default: sluice-bugreport-HOST-TIME.tar.gz].
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// The agent.
    #[command(flatten)]
    agent: AdminFlag,
    /// --admin of a proxy on this node, whose metrics are wanted too.
    #[arg(long, value_name = "ADDR", value_parser = agent_flags::address)]
    ingress_admin: Option<SocketAddr>,
    /// A log to take the end of, beside those of journald and of the kubelet; may be repeated.
    #[arg(long, value_name = "FILE")]
    log_file: Vec<PathBuf>,
}

/// Runs the verb; prints the archive's name.
pub(crate) fn run(
    bpf_dir: &Path,
    args: &BugreportArgs,
    out: &mut impl io::Write,
) -> Result<ExitCode, CliError> {
    let name = args.output.clone().unwrap_or_else(default_name);
    let failed = |source| CliError::Archive { path: name.clone(), source };
    let mut archive = Archive::create(&name).map_err(failed)?;
    for part in parts::all(bpf_dir, args) {
        let collected = collect::collect(&part.source);
        archive.add(&part.name, collected).map_err(failed)?;
    }
    let missing = archive.finish().map_err(failed)?;
    writeln!(out, "{}", name.display())?;
    if missing > 0 {
        eprintln!("{missing} parts are missing; manifest.json in it says which and why");
    }
    Ok(ExitCode::SUCCESS)
}

fn default_name() -> PathBuf {
    let host = uname().map(|name| name.nodename().to_string_lossy().into_owned()).unwrap_or_default();
    PathBuf::from(format!("sluice-bugreport-{host}-{}.tar.gz", Timestamp::now().as_second()))
}
