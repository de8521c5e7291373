//! Takes everything away that is ours, and nothing else.

use std::{
    collections::BTreeSet,
    fs,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use tokio::runtime;

use super::{
    attach::{clsact, parse_link_name},
    lock::{Lock, LockError},
    neighbour,
    netlink::{Netlink, NetlinkError},
    pin::{PinDir, PinError},
    sys,
};

/// Why something is still there.
#[derive(Debug, thiserror::Error)]
pub enum CleanupError {
    /// An agent would put everything back.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A pin cannot be removed.
    #[error(transparent)]
    Pin(#[from] PinError),
    /// The kernel does not list its neighbours or devices.
    #[error("pins are removed, but neighbours may still be kept warm: {0}")]
    Network(#[from] NetlinkError),
}

/// What was taken away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// Programs that were attached, as `device hook`.
    pub links: Vec<String>,
    /// Pinned programs and maps.
    pub pins: usize,
    /// Neighbours that were kept warm.
    pub neighbours: usize,
}

/// Detaches our programs and removes our pins, of every layout, under `dir`; the directory too where nothing else is
/// in it. Live connections end. Nothing there is no error.
///
/// # Errors
/// Where an agent runs, or a pin cannot be removed.
pub fn cleanup(dir: &PinDir) -> Result<Removed, CleanupError> {
    // Where a directory above it is closed to this process, whether it exists cannot be told.
    match dir.base().try_exists() {
        Ok(true) => {}
        Ok(false) => return Ok(Removed::default()),
        Err(source) => return Err(PinError::Io { path: dir.base().to_owned(), source }.into()),
    }
    let _lock = Lock::take(dir)?;
    let mut removed = Removed::default();
    let mut devices = BTreeSet::new();
    for layout in layouts(dir)? {
        devices.extend(devices_of(&layout)?);
        remove_layout(&layout, &mut removed)?;
    }
    // Others may keep something beside our layouts.
    if PinDir::list(dir.base())?.is_empty() {
        match fs::remove_dir(dir.base()) {
            // In a container the directory is a mount point, and what it is mounted on cannot be written.
            Err(source)
                if matches!(source.kind(), ErrorKind::ResourceBusy | ErrorKind::ReadOnlyFilesystem) => {}
            Err(source) => return Err(PinError::Io { path: dir.base().to_owned(), source }.into()),
            Ok(()) => {}
        }
    }
    forget_network(&devices, &mut removed)?;
    Ok(removed)
}

/// Removes what agents of other layouts left.
///
/// # Errors
/// Where a pin cannot be removed.
pub fn remove_other_layouts(dir: &PinDir) -> Result<Removed, PinError> {
    let mut removed = Removed::default();
    for layout in other_layouts(dir)? {
        remove_layout(&layout, &mut removed)?;
    }
    Ok(removed)
}

/// Directories of other releases' layouts.
///
/// # Errors
/// Where the pin directory cannot be listed.
pub fn other_layouts(dir: &PinDir) -> Result<Vec<PathBuf>, PinError> {
    let mut layouts = layouts(dir)?;
    layouts.retain(|layout| *layout != dir.root());
    Ok(layouts)
}

/// Directories `v<number>`: ours, and those of other releases.
///
/// # Errors
/// Where the pin directory cannot be listed.
pub fn layouts(dir: &PinDir) -> Result<Vec<PathBuf>, PinError> {
    let is_layout =
        |name: &String| name.strip_prefix('v').is_some_and(|number| number.parse::<u32>().is_ok());
    Ok(PinDir::list(dir.base())?.into_iter().filter(is_layout).map(|name| dir.base().join(name)).collect())
}

/// Links first: a program that is still attached must find its maps.
fn remove_layout(layout: &Path, removed: &mut Removed) -> Result<(), PinError> {
    for part in ["links", "programs", "maps"] {
        let directory = layout.join(part);
        for name in PinDir::list(&directory)? {
            let path = directory.join(&name);
            if part == "links" {
                // Fails where the device is gone: then the pin is all there is.
                let _ = sys::detach_pinned_link(&path);
            }
            remove(&path, |path| fs::remove_file(path))?;
            match parse_link_name(&name).filter(|_| part == "links") {
                Some((device, hook)) => removed.links.push(format!("{device} {hook}")),
                None => removed.pins += 1,
            }
        }
        remove(&directory, |path| fs::remove_dir(path))?;
    }
    remove(layout, |path| fs::remove_dir(path))
}

fn devices_of(layout: &Path) -> Result<Vec<u32>, PinError> {
    let links = layout.join("links");
    let infos = PinDir::list(&links)?.into_iter().map(|name| sys::pinned_link(&links.join(name)));
    // A link that cannot be read is removed all the same, only its device's neighbours stay.
    Ok(infos.filter_map(|info| info.ok().flatten()).map(|info| info.ifindex).collect())
}

/// What is not pinned: neighbours, and on an old kernel the filters that stand for tcx links.
fn forget_network(devices: &BTreeSet<u32>, removed: &mut Removed) -> Result<(), NetlinkError> {
    let runtime =
        runtime::Builder::new_current_thread().enable_all().build().map_err(NetlinkError::Socket)?;
    runtime.block_on(async {
        let netlink = Netlink::open()?;
        removed.neighbours = neighbour::forget(&netlink, devices).await?;
        if clsact::is_needed() {
            for device in netlink.devices().await? {
                removed
                    .links
                    .extend(clsact::detach_all(&device.name).map(|hook| format!("{} {hook}", device.name)));
            }
        }
        Ok(())
    })
}

fn remove(path: &Path, by: impl FnOnce(&Path) -> io::Result<()>) -> Result<(), PinError> {
    match by(path) {
        Err(source) if source.kind() != ErrorKind::NotFound => {
            Err(PinError::Io { path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_layout_goes_and_what_is_not_ours_stays() {
        let temporary = tempfile::tempdir().unwrap();
        let dir = PinDir::new(temporary.path());
        let ours =
            [dir.map("flows"), dir.root().join("links/eth0-xdp"), dir.root().join("programs/sluice_xdp")];
        let others = ["v999/maps/x", "other/thing"].map(|file| dir.base().join(file));
        for path in ours.into_iter().chain(others) {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let mut removed = remove_other_layouts(&dir).unwrap();
        assert_eq!(removed.pins, 1);
        assert!(dir.map("flows").exists());
        remove_layout(&dir.root(), &mut removed).unwrap();
        assert_eq!(removed.links, ["eth0 xdp"]);
        assert_eq!(PinDir::list(dir.base()).unwrap(), ["other"]);
    }
}
