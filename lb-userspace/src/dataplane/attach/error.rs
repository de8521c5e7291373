//! Why a device has no program.

use std::{
    io,
    path::{Path, PathBuf},
};

use aya::{
    programs::{
        ProgramError, SchedClassifier, TcAttachType, XdpMode, links::LinkError, loaded_programs, tc::TcError,
        xdp::XdpError,
    },
    sys::SyscallError,
};
use lb_common::abi::program;

use super::Hook;
use crate::dataplane::{
    device::Device, loader::LoadError, pin::PinError, pins::RestoreError, sys::PinnedLinkInfo,
};

/// Why a device has no program.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// Somebody else's program is there.
    #[error(
        "{device} already runs the XDP program {program}; it is left alone: remove it (`ip link set dev {device} xdp \
         off` or by its owner), choose other devices with --interface, or start with --mode tc"
    )]
    Foreign {
        /// Name of the device.
        device: String,
        /// Id and name of the program.
        program: String,
    },
    /// Our own program is there, by a link that is not pinned where this agent pins.
    #[error(
        "{device} already runs `{program}` of another Sluice agent, which pins elsewhere: stop it and run `sluice cleanup \
         --bpf-dir` with its directory, or start this agent with the --bpf-dir of that one"
    )]
    OtherAgent {
        /// Name of the device.
        device: String,
        /// Name of the program.
        program: &'static str,
    },
    /// The driver cannot do what `--mode` insists on.
    #[error("{device} does not take an XDP program in {mode} mode ({source}); start with --mode auto or tc")]
    Mode {
        /// Name of the device.
        device: String,
        /// The mode asked for.
        mode: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// XDP would not see which VLAN a frame belongs to.
    #[error(
        "{device} carries VLANs, and its driver takes the tags off before XDP runs: `ethtool -K {device} rxvlan off` \
         makes it leave them; --mode tc does without XDP"
    )]
    HiddenTags {
        /// Name of the device.
        device: String,
    },
    /// Any other refusal.
    #[error("attaching {hook} to {device}: {source}")]
    Program {
        /// Name of the device.
        device: String,
        /// Which program.
        hook: Hook,
        /// What aya said.
        source: ProgramError,
    },
    /// The link cannot be used or kept.
    #[error("link {}: {source}", path.display())]
    Link {
        /// Pin of the link.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// Listing pins.
    #[error(transparent)]
    Pin(#[from] PinError),
    /// Pins are lost.
    #[error(transparent)]
    Lost(#[from] RestoreError),
    /// The object lacks a program.
    #[error(transparent)]
    Object(#[from] LoadError),
}

impl AttachError {
    /// An error about a program on a device.
    pub(super) fn program(device: &Device, hook: Hook, source: ProgramError) -> Self {
        Self::Program { device: device.name.clone(), hook, source }
    }

    /// An error about a pinned link.
    pub(super) fn link(path: &Path, error: LinkError) -> Self {
        Self::Link { path: path.to_owned(), source: io::Error::other(error) }
    }
}

pub(super) fn errno(error: &ProgramError) -> Option<i32> {
    match error {
        ProgramError::SyscallError(SyscallError { io_error, .. }) => io_error.raw_os_error(),
        ProgramError::XdpError(XdpError::NetlinkError(error))
        | ProgramError::TcError(TcError::NetlinkError(error)) => error.raw_os_error(),
        _ => None,
    }
}

/// Tells a driver without the mode from a device that somebody else uses. `dev_xdp_attach` in the kernel's
/// net/core/dev.c answers EBUSY where a program is attached in the same mode, EEXIST where in the other.
pub(super) fn xdp_refusal(device: &Device, mode: XdpMode, source: ProgramError) -> AttachError {
    let name = device.name.clone();
    match errno(&source) {
        Some(libc::EBUSY | libc::EEXIST) => owned(device),
        Some(code @ (libc::EINVAL | libc::ERANGE | libc::EOPNOTSUPP)) => AttachError::Mode {
            device: name,
            mode: if mode == XdpMode::Skb { "generic" } else { "native" },
            source: io::Error::from_raw_os_error(code),
        },
        _ => AttachError::Program { device: name, hook: Hook::Xdp, source },
    }
}

/// Refuses a device with an XDP program that our link, if there is one, does not run.
pub(super) fn refuse_foreign(device: &Device, link: Option<PinnedLinkInfo>) -> Result<(), AttachError> {
    match device.xdp {
        Some(xdp) if link.is_none_or(|link| link.program != xdp.id) => Err(owned(device)),
        _ => Ok(()),
    }
}

/// Refuses a device that another agent's program is on: packets would be translated twice.
pub(super) fn refuse_second(device: &Device, hook: Hook, direction: TcAttachType) -> Result<(), AttachError> {
    const OURS: [(Hook, &str); 3] = [
        (Hook::Ingress, program::TCX_INGRESS),
        (Hook::Ingress, program::TCX_INGRESS_L3),
        (Hook::Egress, program::TCX_EGRESS),
    ];
    // A device that is gone meanwhile has none; attaching says so.
    let Ok((_, programs)) = SchedClassifier::query_tcx(&device.name, direction) else { return Ok(()) };
    let found: Vec<_> = programs.iter().filter_map(|info| info.name_as_str()).collect();
    match OURS.into_iter().find(|(own, name)| *own == hook && found.contains(name)) {
        Some((_, program)) => Err(AttachError::OtherAgent { device: device.name.clone(), program }),
        None => Ok(()),
    }
}

/// Says whose the XDP program of a device is.
fn owned(device: &Device) -> AttachError {
    let name = device.name.clone();
    let id = device.xdp.map(|xdp| xdp.id);
    let found = loaded_programs().filter_map(Result::ok).find(|info| Some(info.id()) == id);
    let program = found.and_then(|info| info.name_as_str().map(str::to_owned));
    match (program, id) {
        (Some(found), _) if found == program::XDP => {
            AttachError::OtherAgent { device: name, program: program::XDP }
        }
        (Some(found), Some(id)) => {
            AttachError::Foreign { device: name, program: format!("`{found}` (id {id})") }
        }
        (None, Some(id)) => AttachError::Foreign { device: name, program: format!("id {id}") },
        (_, None) => AttachError::Foreign { device: name, program: "of somebody else".to_owned() },
    }
}
