//! Why the proxy ends, and the exit codes that tell it.

use std::{io, net::SocketAddr, path::PathBuf, process::ExitCode};

/// The exit codes, for `--help`.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0  ended on SIGTERM or SIGINT, after the drain
  1  any failure that has no code of its own
  2  wrong flags
  3  an address to listen on is not ours, or taken by another program; another sluice-ingress of the same user may share it

Logs go to standard error:
  SLUICE_LOG         what is logged, as `info` or `warn,lb_proxy=debug`; `sluice log-level --admin ADDR` changes it later [default: info]
  SLUICE_LOG_FORMAT  `text` or `json` [default: text on a terminal, json elsewhere]";

/// Why the proxy ended, or could not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An address.
    #[error("cannot listen on {address}: {source}; choose another {flag}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The flag that chose it.
        flag: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The access log.
    #[error("cannot write the access log to {}: {source}; choose another --access-log, or off", .path.display())]
    AccessLog {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// No runtime, no threads, no signals.
    #[error("{what}: {source}")]
    System {
        /// What failed.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// TLS cannot be set up.
    #[error("cannot set up TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// The source cannot start.
    #[error(transparent)]
    Source(#[from] lb_sources::Error),
    /// Something that never ends has ended.
    #[error("{what} ended unexpectedly; start the proxy again")]
    Ended {
        /// What.
        what: &'static str,
    },
}

impl Error {
    /// The exit code, see `EXIT_CODES`.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Listen { .. } => 3,
            _ => 1,
        })
    }
}
