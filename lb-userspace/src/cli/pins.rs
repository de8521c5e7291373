//! Opening what the agent left pinned.

use super::CliError;
use crate::dataplane::{
    cleanup,
    pin::PinDir,
    pinned::{Pinned, PinnedError},
};

/// Opens the maps under `--bpf-dir`.
pub(crate) fn open(dir: &PinDir) -> Result<Pinned, CliError> {
    Pinned::open(dir).map_err(|error| match error {
        PinnedError::Absent { .. } => absent(dir),
        other => other.into(),
    })
}

fn absent(dir: &PinDir) -> CliError {
    let path = dir.root();
    // A directory that cannot be listed is as good as an empty one here: the maps are not there.
    let layouts = cleanup::other_layouts(dir).unwrap_or_default();
    if layouts.is_empty() { CliError::NoMaps { path } } else { CliError::OtherLayout { path, layouts } }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    fn message(base: &Path) -> String {
        open(&PinDir::new(base)).err().unwrap().to_string()
    }

    #[test]
    fn a_directory_without_maps_is_met_with_what_to_do() {
        let base = tempfile::tempdir().unwrap();
        let text = message(base.path());
        assert!(text.contains(&PinDir::new(base.path()).root().display().to_string()), "{text}");
        assert!(text.contains("is the agent running on this node?"), "{text}");
    }

    #[test]
    fn maps_of_another_release_are_named() {
        let base = tempfile::tempdir().unwrap();
        fs::create_dir(base.path().join("v99")).unwrap();
        let text = message(base.path());
        assert!(text.contains("/v99)"), "{text}");
    }
}
