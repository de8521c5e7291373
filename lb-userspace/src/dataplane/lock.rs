//! One agent for a pin directory.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt,
};

use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
};

use super::pin::{PinDir, mend};

/// Why the lock could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// An agent runs.
    #[error("an agent is running on {dir}: stop it first, or name another --bpf-dir")]
    Held {
        /// The directory.
        dir: String,
    },
    /// Anything else.
    #[error("locking {dir}: {source}{}", mend(source))]
    Io {
        /// The directory.
        dir: String,
        /// What the kernel said.
        source: io::Error,
    },
}

/// Held while an agent runs: a lock on the pin directory itself, which every container that shares the BPF filesystem
/// sees, and which the kernel lets go when the process ends in whatever way.
#[derive(Debug)]
pub struct Lock {
    directory: Flock<File>,
}

impl Lock {
    /// Takes the lock; the directory must exist.
    ///
    /// # Errors
    /// Where another process holds it.
    pub fn take(dir: &PinDir) -> Result<Self, LockError> {
        let name = || dir.base().display().to_string();
        let failed = |source| LockError::Io { dir: name(), source };
        let directory = File::open(dir.base()).map_err(failed)?;
        match Flock::lock(directory, FlockArg::LockExclusiveNonblock) {
            Ok(directory) => Ok(Self { directory }),
            Err((_, Errno::EWOULDBLOCK)) => Err(LockError::Held { dir: name() }),
            Err((_, errno)) => Err(failed(io::Error::from(errno))),
        }
    }

    /// True while the directory that is locked is the one that others find: it may have been removed, or its file system
    /// unmounted.
    pub fn is_of(&self, dir: &PinDir) -> bool {
        let identity = |found: fs::Metadata| (found.dev(), found.ino());
        let locked = self.directory.metadata().map(identity);
        let found = fs::metadata(dir.base()).map(identity);
        matches!((locked, found), (Ok(locked), Ok(found)) if locked == found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_agent_is_refused_until_the_first_is_gone() {
        let temporary = tempfile::tempdir().unwrap();
        let dir = PinDir::new(temporary.path());
        let first = Lock::take(&dir).unwrap();
        assert!(matches!(Lock::take(&dir), Err(LockError::Held { .. })));
        drop(first);
        assert!(Lock::take(&dir).is_ok());
    }

    #[test]
    fn a_directory_that_was_made_anew_is_not_the_one_that_is_locked() {
        let temporary = tempfile::tempdir().unwrap();
        let dir = PinDir::new(temporary.path().join("pins"));
        fs::create_dir(dir.base()).unwrap();
        let lock = Lock::take(&dir).unwrap();
        assert!(lock.is_of(&dir));
        fs::rename(dir.base(), temporary.path().join("elsewhere")).unwrap();
        assert!(!lock.is_of(&dir));
        fs::create_dir(dir.base()).unwrap();
        assert!(!lock.is_of(&dir));
    }
}
