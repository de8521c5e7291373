//! The guest's root file system: a cpio archive of the "newc" format, which the kernel unpacks into memory
//! (`Documentation/driver-api/early-userspace/buffer-format.rst`).

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::command;

const DIRECTORY: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;
const CHARACTER_DEVICE: u32 = 0o020_600;

/// An archive in the making.
#[derive(Default)]
pub(super) struct Initramfs {
    bytes: Vec<u8>,
    entries: u32,
    paths: BTreeSet<PathBuf>,
}

impl Initramfs {
    /// Adds a folder and those above it.
    pub(super) fn directory(&mut self, path: &Path) {
        let above: Vec<_> = path.ancestors().filter(|folder| folder.parent().is_some()).collect();
        for folder in above.into_iter().rev() {
            if self.paths.insert(folder.to_owned()) {
                self.entry(folder, DIRECTORY, 0, &[]);
            }
        }
    }

    /// Adds a file with its folders; a path that is there already stays as it is.
    pub(super) fn file(&mut self, path: &Path, content: &[u8]) {
        path.parent().into_iter().for_each(|folder| self.directory(folder));
        if self.paths.insert(path.to_owned()) {
            self.entry(path, PROGRAM, 0, content);
        }
    }

    /// Adds a file of this machine under the path that it has here.
    pub(super) fn copy(&mut self, path: &Path) -> Result<()> {
        self.copy_as(path, path)
    }

    /// Adds a file of this machine under another path.
    pub(super) fn copy_as(&mut self, path: &Path, target: &Path) -> Result<()> {
        let content = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        self.file(target, &content);
        Ok(())
    }

    /// Adds a program with the libraries that it is linked with; without its debug information, which would fill the
    /// guest's memory. `scratch` is a folder for files in between.
    pub(super) fn program(&mut self, path: &Path, target: &Path, scratch: &Path) -> Result<()> {
        for library in libraries(path)? {
            self.copy(&library)?;
        }
        let stripped = scratch.join("stripped");
        command::ask(Command::new("strip").arg("-o").arg(&stripped).arg(path))
            .with_context(|| format!("strip refuses {}", path.display()))?;
        self.copy_as(&stripped, target)
    }

    /// Adds the device that the kernel opens as standard input and output of process 1.
    pub(super) fn console(&mut self) {
        const MAJOR_MINOR: u32 = 5 << 8 | 1;
        self.directory(Path::new("/dev"));
        self.entry(Path::new("/dev/console"), CHARACTER_DEVICE, MAJOR_MINOR, &[]);
    }

    /// The archive.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.entry(Path::new("/TRAILER!!!"), 0, 0, &[]);
        self.bytes
    }

    fn entry(&mut self, path: &Path, mode: u32, device: u32, content: &[u8]) {
        self.entries += 1;
        let path = path.to_string_lossy();
        let name = path.trim_start_matches('/');
        let size = content.len();
        let (major, minor) = (device >> 8, device & 0xff);
        let header = format!(
            "070701{:08x}{mode:08x}{:08x}{:08x}{:08x}{:08x}{size:08x}{:08x}{:08x}{major:08x}{minor:08x}{:08x}{:08x}",
            self.entries,
            0, // user
            0, // group
            1, // links
            0, // modified
            0, // device of the file, major
            0, // and minor
            name.len() + 1,
            0, // checksum, of another format
        );
        self.bytes.extend_from_slice(header.as_bytes());
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(content);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

/// The shared libraries of a program and its dynamic linker, under the paths by which they are looked up.
fn libraries(program: &Path) -> Result<Vec<PathBuf>> {
    // Fails for a static program, which has none.
    let listing = command::ask(Command::new("ldd").arg(program)).unwrap_or_default();
    Ok(listing.lines().filter_map(library).collect())
}

/// The path in a line of ldd: `libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x…)` or `/lib64/ld-linux-x86-64.so.2 (0x…)`.
fn library(line: &str) -> Option<PathBuf> {
    line.split_whitespace().find(|word| word.starts_with('/')).map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_found_in_what_ldd_says() {
        assert_eq!(library("\tlibc.so.6 => /lib/libc.so.6 (0x00007f)"), Some("/lib/libc.so.6".into()));
        assert_eq!(library("\t/lib64/ld.so.2 (0x00007f)"), Some("/lib64/ld.so.2".into()));
        assert_eq!(library("\tlinux-vdso.so.1 (0x00007f)"), None);
    }

    #[test]
    fn a_file_comes_once_after_its_folders_and_everything_is_aligned() {
        let mut archive = Initramfs::default();
        archive.file(Path::new("/a/b/c"), b"12345");
        archive.file(Path::new("/a/b/c"), b"other");
        archive.file(Path::new("/a/d"), b"");
        let bytes = archive.finish();
        assert_eq!(bytes.len() % 4, 0);
        let text = String::from_utf8(bytes).unwrap();
        let names: Vec<_> = ["a\0", "a/b\0", "a/b/c\0", "12345", "a/d\0", "TRAILER!!!\0"]
            .map(|name| text.match_indices(name).map(|(at, _)| at).next().unwrap())
            .into();
        assert!(names.is_sorted(), "{names:?}");
        assert_eq!(text.matches("070701").count(), 5);
        assert!(!text.contains("other"));
    }
}
