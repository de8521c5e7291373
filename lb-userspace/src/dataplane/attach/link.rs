//! Links by their pins.

use std::{fmt, io, path::Path};

use aya::programs::links::{FdLink, PinnedLink};

use super::AttachError;
use crate::dataplane::{device::Device, pins::Pins, sys};

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

/// The link pinned at `path` where it is on `device`; one that is not is let go.
pub(super) fn usable(
    pins: &mut Pins,
    path: &Path,
    device: &Device,
) -> Result<Option<sys::PinnedLinkInfo>, AttachError> {
    match sys::pinned_link(path) {
        Ok(Some(info)) if info.ifindex == device.index => Ok(Some(info)),
        Ok(_) => unpin(pins, path).map(|()| None),
        Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(AttachError::Link { path: path.to_owned(), source }),
    }
}

pub(super) fn pinned(path: &Path) -> Result<FdLink, AttachError> {
    PinnedLink::from_pin(path).map(FdLink::from).map_err(|error| AttachError::link(path, error))
}

pub(super) fn pin(link: FdLink, path: &Path) -> Result<(), AttachError> {
    link.pin(path)
        .map(drop)
        .map_err(|error| AttachError::Link { path: path.to_owned(), source: io::Error::other(error) })
}

/// Detaches a link's program and removes its pin; nothing where there is none.
pub(super) fn unpin(pins: &mut Pins, path: &Path) -> Result<(), AttachError> {
    // A link whose device is gone has nothing to detach, and goes with its pin.
    let _ = sys::detach_pinned_link(path);
    pins.remove(path).map_err(|source| AttachError::Link { path: path.to_owned(), source })
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
