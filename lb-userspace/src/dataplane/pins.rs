//! Holds open what is pinned, and pins it anew where the pins are lost: somebody removed them, or unmounted their file
//! system. A link without pin and without anybody who has it open takes its program off the device.

use std::{
    collections::BTreeMap,
    fs, io,
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
};

use super::{
    lock::{Lock, LockError},
    pin::{PinDir, PinError},
    sys,
};

/// Why pins that are lost are not there again.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The directory cannot be made, or nothing can be pinned in it.
    #[error("pins are lost: {0}. Forwarding goes on while this agent runs, and no longer")]
    Pin(#[from] PinError),
    /// Another agent has begun to work there.
    #[error(transparent)]
    Lock(#[from] LockError),
}

/// The pins of a running agent.
#[derive(Debug)]
pub struct Pins {
    dir: PinDir,
    lock: Lock,
    open: BTreeMap<PathBuf, OwnedFd>,
}

impl Pins {
    /// The pins of the directory that `lock` is on; nothing is held so far.
    pub fn new(dir: PinDir, lock: Lock) -> Self {
        Self { dir, lock, open: BTreeMap::new() }
    }

    /// Where they are.
    pub fn dir(&self) -> &PinDir {
        &self.dir
    }

    /// Holds everything that is pinned.
    ///
    /// # Errors
    /// Where a directory cannot be listed, or a pin cannot be opened.
    pub fn hold_all(&mut self) -> Result<(), PinError> {
        for directory in [self.dir.maps(), self.dir.programs(), self.dir.links()] {
            self.hold_in(&directory)?;
        }
        Ok(())
    }

    /// Holds what is pinned in one of the directories.
    ///
    /// # Errors
    /// As [`hold_all`](Self::hold_all).
    pub fn hold_in(&mut self, directory: &Path) -> Result<(), PinError> {
        for name in PinDir::list(directory)? {
            let path = directory.join(name);
            let object = sys::open(&path).map_err(|source| PinError::Io { path: path.clone(), source })?;
            self.open.insert(path, object);
        }
        Ok(())
    }

    /// Removes a pin for good; nothing where there is none.
    ///
    /// # Errors
    /// Where it cannot be removed.
    pub fn remove(&mut self, path: &Path) -> io::Result<()> {
        self.open.remove(path);
        match fs::remove_file(path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => Err(source),
            _ => Ok(()),
        }
    }

    /// Gives a pin another name.
    ///
    /// # Errors
    /// Where the file system refuses.
    pub fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)?;
        if let Some(object) = self.open.remove(from) {
            self.open.insert(to.to_owned(), object);
        }
        Ok(())
    }

    /// Pins anew what is held and not pinned; true where there was any.
    ///
    /// # Errors
    /// Where that fails; what is held stays open, and the next call tries again.
    pub fn restore(&mut self) -> Result<bool, RestoreError> {
        let is_there = |path: &PathBuf| path.symlink_metadata().is_ok();
        if self.lock.is_of(&self.dir) && self.open.keys().all(is_there) {
            return Ok(false);
        }
        self.dir.create()?;
        if !self.lock.is_of(&self.dir) {
            self.lock = Lock::take(&self.dir)?;
        }
        for (path, object) in self.open.iter().filter(|(path, _)| !is_there(path)) {
            sys::pin(object.as_fd(), path).map_err(|source| PinError::Io { path: path.clone(), source })?;
        }
        Ok(true)
    }
}
