//! One agent for a pin directory.

use std::{fs::File, io};

use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
};

use super::pin::PinDir;

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
    #[error("locking {dir}: {source}")]
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
    _directory: Flock<File>,
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
            Ok(directory) => Ok(Self { _directory: directory }),
            Err((_, Errno::EWOULDBLOCK)) => Err(LockError::Held { dir: name() }),
            Err((_, errno)) => Err(failed(io::Error::from(errno))),
        }
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
}
