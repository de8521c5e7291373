//! Why a command failed: what, where, and what to do.

use std::{io, net::SocketAddr, path::PathBuf, process::ExitCode};

use super::trace::TraceError;
use crate::dataplane::{
    cleanup::CleanupError, monitor::TapError, netlink::NetlinkError, pin::PinError, pinned::PinnedError,
};

/// A command failed.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// No agent has left maps here.
    #[error(
        "no Sluice maps under {}: is the agent running on this node? Start `sluice agent`, or name its directory with --bpf-dir",
        path.display()
    )]
    NoMaps {
        /// The pin directory of this release's layout.
        path: PathBuf,
    },
    /// Another release's maps are here.
    #[error(
        "no Sluice maps under {}, but maps of another layout ({}): inspect them with the `sluice` of the agent's release",
        path.display(),
        layouts.iter().map(|layout| layout.display().to_string()).collect::<Vec<_>>().join(", ")
    )]
    OtherLayout {
        /// The pin directory of this release's layout.
        path: PathBuf,
        /// Directories beside it.
        layouts: Vec<PathBuf>,
    },
    /// A pinned map did not answer.
    #[error(transparent)]
    Pinned(#[from] PinnedError),
    /// The pin directory did not answer.
    #[error(transparent)]
    Pin(#[from] PinError),
    /// The kernel did not list its devices.
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
    /// No runtime for netlink.
    #[error("cannot start a runtime: {0}")]
    Runtime(#[source] io::Error),
    /// Not everything was taken away.
    #[error(transparent)]
    Cleanup(#[from] CleanupError),
    /// A trace needs a device to come in by.
    #[error(
        "Sluice has no program on any uplink: `sluice get interfaces` shows its devices; name one with --interface"
    )]
    NoUplink,
    /// A trace could not be run.
    #[error(transparent)]
    Trace(#[from] TraceError),
    /// The archive cannot be written.
    #[error("cannot write {}: {source}; name another file with --output", path.display())]
    Archive {
        /// Where it was to be.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Nobody answers.
    #[error("{address} does not answer ({source}): does the program run, with this --admin?")]
    Admin {
        /// Where somebody was expected.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The program says no.
    #[error("{message}")]
    Refused {
        /// Why.
        message: String,
    },
    /// Events cannot be followed.
    #[error(transparent)]
    Tap(#[from] TapError),
    /// Nothing goes by the name that was asked for.
    #[error("{kind} \"{name}\" not found{place}; `sluice get {kind}{all}` shows those there are")]
    NotFound {
        /// Kind of resource, plural.
        kind: &'static str,
        /// What was asked for.
        name: String,
        /// Where it was looked for, with a leading space; empty for the whole node.
        place: String,
        /// ` -A` where that shows more.
        all: &'static str,
    },
    /// Writing to stdout failed.
    #[error("cannot write the output: {0}")]
    Output(#[from] io::Error),
}

impl CliError {
    /// The exit code that tells a script what happened.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::FAILURE
    }
}
