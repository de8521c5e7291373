//! Why the agent ends, and the exit codes that tell it.

use std::{io, net::SocketAddr, path::PathBuf, process::ExitCode};

use crate::dataplane::{
    attach::AttachError, device::DeviceError, loader::LoadError, lock::LockError, netlink::NetlinkError,
    pin::PinError, pinned::PinnedError, pins::RestoreError,
};

/// The exit codes, for `--help`.
pub(super) const EXIT_CODES: &str = "\
Exit codes:
  0  ended on SIGTERM or SIGINT; forwarding goes on
  1  any failure that has no code of its own
  2  wrong flags
  3  a capability is missing
  4  the kernel is too old
  5  a device of --interface does not exist or cannot be an uplink, or there is no uplink at all
  6  an uplink runs somebody else's XDP program, or the programs of an agent with another --bpf-dir
  7  another agent uses the same --bpf-dir

Logs go to standard error:
  SLUICE_LOG         what is logged, as `info` or `warn,lb_sources=debug`; `sluice log-level` changes it later [default: info]
  SLUICE_LOG_FORMAT  `text` or `json` [default: text on a terminal, json elsewhere]";

/// Why the agent ended, or could not start.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// Not privileged enough.
    #[error(
        "missing {}: run as root, or with CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON in the container's \
         securityContext", .missing.join(", ")
    )]
    Capability {
        /// Names of the missing capabilities.
        missing: Vec<&'static str>,
    },
    /// An old kernel.
    #[error("this kernel is Linux {found}; Sluice needs {} or later", super::preflight::OLDEST)]
    Kernel {
        /// The running kernel's release.
        found: String,
    },
    /// Another agent took the directory after its pins were lost.
    #[error(transparent)]
    Restore(#[from] RestoreError),
    /// Two agents on one directory.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// No runtime, no signals, no host name.
    #[error("{what}: {source}")]
    System {
        /// What failed.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// Something that never ends has ended.
    #[error("{what} ended unexpectedly; start the agent again")]
    Ended {
        /// What.
        what: &'static str,
    },
    /// The admin address is taken or not ours.
    #[error("cannot answer on {address}: {source}; choose another --admin address, or none")]
    Admin {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The policy of external IPs is broken from the start.
    #[error(
        "the external-IP policy {} cannot be used: {message}; correct it, or start without --external-ip-policy. \
         `sluice check -f` checks it", .path.display()
    )]
    Policy {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// A device that was asked for.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// Nothing to attach to.
    #[error(
        "no uplink: no Ethernet device carries a default route or an address of Node {node}; name one with \
         --interface, or correct --node-name"
    )]
    NoUplink {
        /// Name of the node.
        node: String,
    },
    /// A program cannot be attached.
    #[error(transparent)]
    Attach(#[from] AttachError),
    /// The programs cannot be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A map does not answer.
    #[error(transparent)]
    Pinned(#[from] PinnedError),
    /// The pin directory.
    #[error(transparent)]
    Pin(#[from] PinError),
    /// Netlink does not answer.
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
    /// The source cannot start.
    #[error(transparent)]
    Source(#[from] lb_sources::Error),
}

impl AgentError {
    /// The exit code, see `EXIT_CODES`.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Capability { .. } | Self::Load(LoadError::Denied) => 3,
            Self::Kernel { .. } => 4,
            Self::Device(_) | Self::NoUplink { .. } => 5,
            Self::Attach(AttachError::Foreign { .. } | AttachError::OtherAgent { .. }) => 6,
            Self::Lock(LockError::Held { .. })
            | Self::Restore(RestoreError::Lock(LockError::Held { .. })) => 7,
            _ => 1,
        })
    }
}
