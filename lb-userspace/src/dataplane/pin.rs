//! Where maps, links and programs outlive the agent.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use lb_common::abi::{LAYOUT_VERSION, map};
use nix::{
    mount::{MsFlags, mount},
    sys::statfs::{BPF_FS_MAGIC, statfs},
};

/// Default of `--bpf-dir`.
pub const DEFAULT_DIR: &str = "/sys/fs/bpf/sluice";
/// Where a BPF filesystem is expected, and mounted where it is missing.
const BPFFS: &str = "/sys/fs/bpf";

/// Why the pin directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PinError {
    /// No BPF filesystem, and none could be mounted.
    #[error("no BPF filesystem at {}: mounting one at {BPFFS} failed ({source}); run `mount -t bpf bpf {BPFFS}`", path.display())]
    NoBpffs {
        /// The pin directory.
        path: PathBuf,
        /// What mount(2) said.
        source: io::Error,
    },
    /// The directory lies outside every BPF filesystem.
    #[error("{} is not on a BPF filesystem; choose a --bpf-dir below {BPFFS}", path.display())]
    NotBpffs {
        /// The pin directory.
        path: PathBuf,
    },
    /// Creating, listing or removing failed.
    #[error("{}: {source}{}", path.display(), mend(source))]
    Io {
        /// File or directory.
        path: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
}

/// What to do about an error of the file system, as the end of a message; empty where the error says it.
pub(super) fn mend(error: &io::Error) -> &'static str {
    if error.kind() == io::ErrorKind::PermissionDenied {
        "; run as root, or as the user of the agent"
    } else {
        ""
    }
}

/// The pin directory: `<bpf-dir>/v<LAYOUT_VERSION>/{maps,links,programs}`.
///
/// The layout's version is part of the path, so an agent never opens maps of another layout. A map's pin ends in the
/// version that the map itself last changed in: a release of another layout can tell which of the maps it can use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PinDir {
    base: PathBuf,
}

impl PinDir {
    /// The directory that `--bpf-dir` names; nothing is touched.
    pub fn new(bpf_dir: impl Into<PathBuf>) -> Self {
        Self { base: bpf_dir.into() }
    }

    /// What `--bpf-dir` named.
    pub fn base(&self) -> &Path {
        &self.base
    }

    /// The directory of this layout.
    pub fn root(&self) -> PathBuf {
        self.base.join(format!("v{LAYOUT_VERSION}"))
    }

    /// Directory of the maps.
    pub fn maps(&self) -> PathBuf {
        self.root().join("maps")
    }

    /// Directory of the links.
    pub fn links(&self) -> PathBuf {
        self.root().join("links")
    }

    /// Directory of the programs.
    pub fn programs(&self) -> PathBuf {
        self.root().join("programs")
    }

    /// Pin of a map.
    pub fn map(&self, name: &str) -> PathBuf {
        self.maps().join(map_pin(name))
    }

    /// Pin of a program.
    pub fn program(&self, name: &str) -> PathBuf {
        self.programs().join(name)
    }

    /// Creates the directories, after mounting a BPF filesystem where there is none.
    ///
    /// # Errors
    /// Where the directory is not on a BPF filesystem, or not writable.
    pub fn create(&self) -> Result<(), PinError> {
        if self.base.starts_with(BPFFS) && !is_bpffs(Path::new(BPFFS)) {
            mount_bpffs().map_err(|source| PinError::NoBpffs { path: self.base.clone(), source })?;
        }
        let existing = self.base.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
        if !is_bpffs(existing) {
            return Err(PinError::NotBpffs { path: self.base.clone() });
        }
        for path in [self.maps(), self.links(), self.programs()] {
            fs::create_dir_all(&path).map_err(|source| PinError::Io { path, source })?;
        }
        Ok(())
    }

    /// Names in one of the directories, in order; none where it does not exist.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn list(path: &Path) -> Result<Vec<String>, PinError> {
        let error = |source| PinError::Io { path: path.to_owned(), source };
        let entries = match fs::read_dir(path) {
            Ok(entries) => entries,
            Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(error(source)),
        };
        let mut names = entries
            .map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned()))
            .collect::<Result<Vec<_>, _>>()
            .map_err(error)?;
        names.sort();
        Ok(names)
    }
}

/// File name of a map's pin.
pub fn map_pin(name: &str) -> String {
    format!("{name}-{}", map::since(name))
}

/// True where `path` exists and lies on a BPF filesystem.
pub fn is_bpffs(path: &Path) -> bool {
    statfs(path).is_ok_and(|stat| stat.filesystem_type() == BPF_FS_MAGIC)
}

fn mount_bpffs() -> io::Result<()> {
    mount(Some("bpf"), BPFFS, Some("bpf"), MsFlags::empty(), Some("mode=0700")).map_err(io::Error::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_version_is_part_of_every_pin_and_the_maps_own_of_its_name() {
        let dir = PinDir::new("/sys/fs/bpf/x");
        let layout = format!("/sys/fs/bpf/x/v{LAYOUT_VERSION}");
        assert_eq!(dir.map("names"), Path::new(&format!("{layout}/maps/names-3")));
        assert_eq!(dir.links(), Path::new(&format!("{layout}/links")));
    }

    #[test]
    fn a_directory_on_another_filesystem_is_refused_with_a_hint() {
        let temporary = tempfile::tempdir().unwrap();
        let error = PinDir::new(temporary.path().join("pins")).create().unwrap_err();
        assert!(matches!(error, PinError::NotBpffs { .. }), "{error}");
        assert!(error.to_string().contains("--bpf-dir"));
    }
}
