//! One agent for a pin directory.

use std::{fs::File, io};

use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
};

use super::AgentError;
use crate::dataplane::pin::PinDir;

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
    pub fn take(dir: &PinDir) -> Result<Self, AgentError> {
        let name = || dir.base().display().to_string();
        let failed = |source| AgentError::Lock { dir: name(), source };
        let directory = File::open(dir.base()).map_err(failed)?;
        match Flock::lock(directory, FlockArg::LockExclusiveNonblock) {
            Ok(directory) => Ok(Self { _directory: directory }),
            Err((_, Errno::EWOULDBLOCK)) => Err(AgentError::Locked { dir: name() }),
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
        assert!(matches!(Lock::take(&dir), Err(AgentError::Locked { .. })));
        drop(first);
        assert!(Lock::take(&dir).is_ok());
    }
}
