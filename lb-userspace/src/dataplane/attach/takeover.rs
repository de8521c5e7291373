//! What an agent of another layout left: its programs serve until ours have maps that are filled, then ours are put in
//! their place, link by link, without a moment in which none is attached.

use std::{fs, path::Path};

use super::AttachError;
use crate::dataplane::{
    cleanup,
    pin::{PinDir, PinError},
};

/// True where an agent of another layout left anything.
pub(super) fn is_due(dir: &PinDir) -> bool {
    // A directory that cannot be listed fails the agent elsewhere, with the reason.
    cleanup::other_layouts(dir).is_ok_and(|layouts| !layouts.is_empty())
}

/// Moves the pinned links of other layouts among ours, where the kernel swaps their programs as it does with those of an
/// earlier agent (`BPF_LINK_UPDATE`). Links stay behind whose name we have already.
pub(super) fn adopt(dir: &PinDir) -> Result<(), AttachError> {
    for layout in cleanup::other_layouts(dir)? {
        move_links(&layout.join("links"), &dir.links())?;
    }
    Ok(())
}

fn move_links(from: &Path, to: &Path) -> Result<(), PinError> {
    for name in PinDir::list(from)? {
        let (old, new) = (from.join(&name), to.join(&name));
        if !new.exists() {
            fs::rename(&old, &new).map_err(|source| PinError::Io { path: old, source })?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_of_other_layouts_become_ours_and_ours_stay() {
        let temporary = tempfile::tempdir().unwrap();
        let dir = PinDir::new(temporary.path());
        fs::create_dir_all(dir.links()).unwrap();
        assert!(!is_due(&dir));
        for layout in ["v998", "v999"] {
            fs::create_dir_all(dir.base().join(layout).join("links")).unwrap();
            for name in ["eth0-xdp", "eth0-in"] {
                fs::write(dir.base().join(layout).join("links").join(name), layout).unwrap();
            }
        }
        fs::write(dir.links().join("eth0-in"), "ours").unwrap();
        assert!(is_due(&dir));
        adopt(&dir).unwrap();
        let text = |name: &str| fs::read_to_string(dir.links().join(name)).unwrap();
        assert_eq!((text("eth0-xdp").as_str(), text("eth0-in").as_str()), ("v998", "ours"));
        assert_eq!(PinDir::list(&dir.base().join("v999/links")).unwrap(), ["eth0-in", "eth0-xdp"]);
    }
}
