//! Puts the programs on devices, by links that are pinned and outlive the agent.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, fs, io,
    path::{Path, PathBuf},
};

use aya::{
    Ebpf,
    programs::{
        LinkOrder, ProgramError, TcAttachType, XdpMode,
        links::{FdLink, LinkError, PinnedLink},
        loaded_programs,
        tc::TcAttachOptions,
        xdp::XdpError,
    },
    sys::SyscallError,
};
use lb_common::abi::program;

use super::{
    device::{Device, Selection},
    loader::{self, LoadError},
    pin::{PinDir, PinError},
    sys,
};

/// `--mode`: where packets are met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Mode {
    /// Native XDP where the driver has it, tcx alone elsewhere.
    #[default]
    Auto,
    /// Native XDP, or an error.
    Native,
    /// tcx alone.
    Tc,
    /// XDP on socket buffers: for tests, slower than tcx alone.
    Generic,
}

/// Where packets of one uplink are met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Attached {
    /// In the driver, and at tcx.
    Native,
    /// In generic XDP, and at tcx.
    Generic,
    /// At tcx alone.
    Tc,
}

impl Attached {
    /// The word that logs and metrics use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Generic => "generic",
            Self::Tc => "tc",
        }
    }
}

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
    /// No tcx in this kernel.
    #[error("{device} does not take a tcx program: tcx needs Linux 6.6 ({source})")]
    NoTcx {
        /// Name of the device.
        device: String,
        /// What aya said.
        source: ProgramError,
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
    /// The object lacks a program.
    #[error(transparent)]
    Object(#[from] LoadError),
}

/// Where on a device a program sits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hook {
    /// XDP.
    Xdp,
    /// tcx ingress.
    Ingress,
    /// tcx egress.
    Egress,
}

impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Xdp => "xdp",
            Self::Ingress => "in",
            Self::Egress => "out",
        })
    }
}

/// File name of a link's pin. The BPF filesystem reserves the dot, which device names may have; the colon is what
/// device names may not have (`dev_valid_name`).
pub fn link_name(device: &str, hook: Hook) -> String {
    format!("{}-{hook}", device.replace('.', ":"))
}

/// The device and the hook behind a link's pin.
pub fn parse_link_name(name: &str) -> Option<(String, Hook)> {
    let (device, hook) = name.rsplit_once('-')?;
    let hook =
        [Hook::Xdp, Hook::Ingress, Hook::Egress].into_iter().find(|known| known.to_string() == hook)?;
    Some((device.replace(':', "."), hook))
}

/// Loaded programs, and the links that hold them on devices.
pub struct Attacher {
    dir: PinDir,
    ebpf: Ebpf,
    mode: Mode,
    /// Devices whose driver has refused native XDP: not asked again.
    stepped_down: BTreeSet<u32>,
}

impl Attacher {
    /// An attacher of the programs in `ebpf`.
    pub fn new(dir: PinDir, ebpf: Ebpf, mode: Mode) -> Self {
        Self { dir, ebpf, mode, stepped_down: BTreeSet::new() }
    }

    /// Brings programs to where `selection` says and takes ours away from everywhere else. Every device is tried;
    /// what could not be done is in the second part of the answer.
    pub fn attach(&mut self, selection: &Selection) -> (BTreeMap<u32, Attached>, Vec<AttachError>) {
        let mut attached = BTreeMap::new();
        let mut errors: Vec<_> = self.release(selection).err().into_iter().collect();
        for device in selection.uplinks.values() {
            match self.uplink(device) {
                Ok(mode) => {
                    attached.insert(device.index, mode);
                }
                Err(error) => errors.push(error),
            }
        }
        for device in selection.overlays.values() {
            errors.extend(self.tcx(device, Hook::Ingress).err());
        }
        (attached, errors)
    }

    fn uplink(&mut self, device: &Device) -> Result<Attached, AttachError> {
        // XDP leaves packets to tcx, never the other way round: tcx comes first.
        self.tcx(device, Hook::Ingress)?;
        self.tcx(device, Hook::Egress)?;
        match self.mode {
            Mode::Tc => {
                unpin(&self.dir.links().join(link_name(&device.name, Hook::Xdp)))?;
                Ok(Attached::Tc)
            }
            Mode::Generic => self.xdp(device, XdpMode::Skb).map(|()| Attached::Generic),
            Mode::Native => self.xdp(device, XdpMode::Driver).map(|()| Attached::Native),
            Mode::Auto if self.stepped_down.contains(&device.index) => Ok(Attached::Tc),
            Mode::Auto => match self.xdp(device, XdpMode::Driver) {
                Ok(()) => Ok(Attached::Native),
                Err(AttachError::Mode { device: name, source, .. }) => {
                    tracing::warn!(device = name, error = %source, "no native XDP; packets are met at tcx");
                    self.stepped_down.insert(device.index);
                    Ok(Attached::Tc)
                }
                Err(error) => Err(error),
            },
        }
    }

    fn xdp(&mut self, device: &Device, mode: XdpMode) -> Result<(), AttachError> {
        let path = self.dir.links().join(link_name(&device.name, Hook::Xdp));
        let program = loader::xdp(&mut self.ebpf, program::XDP)?;
        let failed = |source| AttachError::Program { device: device.name.clone(), hook: Hook::Xdp, source };
        let id = program.info().map_err(failed)?.id();
        if let Some(link) = usable(&path, device)? {
            let generic = device.xdp.is_some_and(|xdp| xdp.id == link.program && xdp.generic);
            if generic == (mode == XdpMode::Skb) {
                if link.program != id {
                    let old = pinned(&path)?.try_into().map_err(|error| link_error(&path, error))?;
                    program.attach_to_link(old).and_then(|id| program.take_link(id)).map_err(failed)?;
                }
                return Ok(());
            }
            // A link keeps its mode for life.
            unpin(&path)?;
        }
        let link = match program.attach_to_if_index(device.index, mode) {
            Ok(id) => program.take_link(id).map_err(failed)?,
            Err(source) => return Err(xdp_refusal(device, mode, source)),
        };
        // aya falls back to netlink where the kernel answers EINVAL; what is attached so dies with the agent.
        let link: FdLink = link.try_into().map_err(|error| link_error(&path, error))?;
        pin(link, &path)
    }

    fn tcx(&mut self, device: &Device, hook: Hook) -> Result<(), AttachError> {
        let path = self.dir.links().join(link_name(&device.name, hook));
        let (name, direction) = match hook {
            Hook::Egress => (program::TCX_EGRESS, TcAttachType::Egress),
            _ if device.ethernet => (program::TCX_INGRESS, TcAttachType::Ingress),
            _ => (program::TCX_INGRESS_L3, TcAttachType::Ingress),
        };
        let program = loader::classifier(&mut self.ebpf, name)?;
        let failed = |source| AttachError::Program { device: device.name.clone(), hook, source };
        let id = program.info().map_err(failed)?.id();
        if let Some(link) = usable(&path, device)? {
            if link.program != id {
                let old = pinned(&path)?.try_into().map_err(|error| link_error(&path, error))?;
                program.attach_to_link(old).and_then(|id| program.take_link(id)).map_err(failed)?;
            }
            return Ok(());
        }
        // First in line: a program before ours that answers with a final verdict would hide packets from us.
        let options = TcAttachOptions::TcxOrder(LinkOrder::first());
        let link = program
            .attach_with_options(&device.name, direction, options)
            .and_then(|id| program.take_link(id))
            .map_err(|source| match errno(&source) {
                Some(libc::EINVAL | libc::EOPNOTSUPP) => {
                    AttachError::NoTcx { device: device.name.clone(), source }
                }
                _ => failed(source),
            })?;
        let link: FdLink = link.try_into().map_err(|error| link_error(&path, error))?;
        pin(link, &path)
    }

    /// Takes our programs off devices that are not to have them (any more), and follows renamed ones.
    fn release(&self, selection: &Selection) -> Result<(), AttachError> {
        let links = self.dir.links();
        let wanted = |index: u32, hook: Hook| {
            let uplink = selection.uplinks.values().find(|device| device.index == index);
            let overlay = || selection.overlays.values().find(|device| device.index == index);
            if hook == Hook::Ingress { uplink.or_else(overlay) } else { uplink }
        };
        for name in PinDir::list(&links)? {
            let path = links.join(&name);
            let Some((_, hook)) = parse_link_name(&name) else { continue };
            let info =
                sys::pinned_link(&path).map_err(|source| AttachError::Link { path: path.clone(), source })?;
            let Some(info) = info else { continue };
            match wanted(info.ifindex, hook) {
                None => unpin(&path)?,
                Some(device) => {
                    let right = links.join(link_name(&device.name, hook));
                    if right != path {
                        fs::rename(&path, &right).map_err(|source| AttachError::Link { path, source })?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// The link pinned at `path` where it is on `device`; one that is not is let go.
fn usable(path: &Path, device: &Device) -> Result<Option<sys::PinnedLinkInfo>, AttachError> {
    match sys::pinned_link(path) {
        Ok(Some(info)) if info.ifindex == device.index => Ok(Some(info)),
        Ok(_) => unpin(path).map(|()| None),
        Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(AttachError::Link { path: path.to_owned(), source }),
    }
}

fn pinned(path: &Path) -> Result<FdLink, AttachError> {
    PinnedLink::from_pin(path).map(FdLink::from).map_err(|error| link_error(path, error))
}

fn pin(link: FdLink, path: &Path) -> Result<(), AttachError> {
    link.pin(path)
        .map(drop)
        .map_err(|error| AttachError::Link { path: path.to_owned(), source: io::Error::other(error) })
}

/// Detaches a link's program and removes its pin; nothing where there is none.
fn unpin(path: &Path) -> Result<(), AttachError> {
    // A link whose device is gone has nothing to detach, and goes with its pin.
    let _ = sys::detach_pinned_link(path);
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(AttachError::Link { path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}

fn link_error(path: &Path, error: LinkError) -> AttachError {
    AttachError::Link { path: path.to_owned(), source: io::Error::other(error) }
}

fn errno(error: &ProgramError) -> Option<i32> {
    match error {
        ProgramError::SyscallError(SyscallError { io_error, .. }) => io_error.raw_os_error(),
        ProgramError::XdpError(XdpError::NetlinkError(error)) => error.raw_os_error(),
        _ => None,
    }
}

/// Tells a driver without the mode from a device that somebody else uses. `dev_xdp_attach` in the kernel's
/// net/core/dev.c answers EBUSY where a program is attached in the same mode, EEXIST where in the other.
fn xdp_refusal(device: &Device, mode: XdpMode, source: ProgramError) -> AttachError {
    let name = device.name.clone();
    match errno(&source) {
        Some(libc::EBUSY | libc::EEXIST) => AttachError::Foreign { device: name, program: owner(device) },
        Some(code @ (libc::EINVAL | libc::ERANGE | libc::EOPNOTSUPP)) => AttachError::Mode {
            device: name,
            mode: if mode == XdpMode::Skb { "generic" } else { "native" },
            source: io::Error::from_raw_os_error(code),
        },
        _ => AttachError::Program { device: name, hook: Hook::Xdp, source },
    }
}

fn owner(device: &Device) -> String {
    let Some(xdp) = device.xdp else { return "of somebody else".to_owned() };
    let name = loaded_programs()
        .filter_map(Result::ok)
        .find(|info| info.id() == xdp.id)
        .and_then(|info| info.name_as_str().map(str::to_owned));
    match name {
        Some(name) => format!("`{name}` (id {})", xdp.id),
        None => format!("id {}", xdp.id),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_links_name_tells_device_and_hook_and_has_no_dot() {
        for device in ["eth0", "eth0.100", "br-lan", "a-xdp"] {
            for hook in [Hook::Xdp, Hook::Ingress, Hook::Egress] {
                let name = link_name(device, hook);
                assert!(!name.contains('.'), "{name}");
                assert_eq!(parse_link_name(&name), Some((device.to_owned(), hook)));
            }
        }
        assert_eq!(parse_link_name("eth0-other"), None);
    }
}
