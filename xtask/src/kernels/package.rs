//! A kernel of Debian's, unpacked beside the system and not installed: no boot loader, no initramfs of the machine is
//! touched.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::{command, packages, workspace};

/// An unpacked kernel.
pub(super) struct Kernel {
    /// What `uname -r` says in it.
    pub(super) release: String,
    folder: PathBuf,
}

impl Kernel {
    /// The bootable image.
    pub(super) fn image(&self) -> PathBuf {
        self.folder.join("boot").join(format!("vmlinuz-{}", self.release))
    }

    /// Where its modules are.
    pub(super) fn modules(&self) -> PathBuf {
        self.folder.join("lib/modules").join(&self.release)
    }
}

/// Downloads and unpacks the kernel that a package of Debian's stands for now, unless an earlier run has: in the user's
/// cache folder, so that it outlives `cargo clean`. What an earlier run has is used where there is no newer one to have.
pub(super) fn unpacked(package: &str, version: &str) -> Result<Kernel> {
    let cache = workspace::tools_dir().join("kernels");
    fs::create_dir_all(&cache).with_context(|| format!("cannot make {}", cache.display()))?;
    if let Some(kernel) = newest(&cache, version)? {
        return Ok(kernel);
    }
    ensure!(
        packages::is_debian(),
        "the tests on Linux {version} take it from Debian's package {package}: unpack one there by \
         `dpkg-deb --extract FILE.deb {}/NAME`",
        cache.display()
    );
    let name = match depends_on_image(package) {
        Some(name) => name,
        None => {
            packages::update()?;
            depends_on_image(package).with_context(|| format!("Debian's lists have no package {package}"))?
        }
    };
    ensure!(
        name.contains(version),
        "{package} is {name} here, and not Linux {version}: unpack one that is by \
         `dpkg-deb --extract FILE.deb {}/NAME`",
        cache.display()
    );
    download(&name, &cache)?;
    newest(&cache, version)?.with_context(|| format!("{name} has no kernel {version}"))
}

/// The package of the image that a meta package depends on.
fn depends_on_image(package: &str) -> Option<String> {
    let listing = command::ask(Command::new("apt-cache").args(["depends", package]))?;
    listing.lines().find_map(image).map(str::to_owned)
}

/// The package in a line of `apt-cache depends`: `  Depends: linux-image-6.1.0-1-cloud-amd64`.
fn image(line: &str) -> Option<&str> {
    line.trim().strip_prefix("Depends: ").filter(|name| name.starts_with("linux-image-"))
}

fn download(package: &str, cache: &Path) -> Result<()> {
    let folder = cache.join(package);
    let partial = cache.join(format!("{package}.partial"));
    let _ = fs::remove_dir_all(&partial);
    fs::create_dir_all(&partial)?;
    let fetch = || command::run(Command::new("apt-get").args(["download", package]).current_dir(&partial));
    if fetch().is_err() {
        // The lists may be older than the archive, which keeps no old versions.
        packages::update()?;
        fetch()?;
    }
    let Some(archive) = fs::read_dir(&partial)?.flatten().next() else {
        bail!("no {package} was downloaded")
    };
    command::run(Command::new("dpkg-deb").arg("--extract").arg(archive.path()).arg(&partial))?;
    fs::remove_file(archive.path())?;
    fs::rename(&partial, &folder).with_context(|| format!("cannot make {}", folder.display()))
}

/// The newest kernel of a version among what is unpacked.
fn newest(cache: &Path, version: &str) -> Result<Option<Kernel>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(cache)?.flatten() {
        let folder = entry.path();
        let complete = folder.extension().is_none_or(|extension| extension != "partial");
        for modules in fs::read_dir(folder.join("lib/modules")).into_iter().flatten().flatten() {
            let kernel = Kernel {
                release: modules.file_name().to_string_lossy().into_owned(),
                folder: folder.clone(),
            };
            if complete && kernel.release.starts_with(&format!("{version}.")) && kernel.image().exists() {
                found.push(kernel);
            }
        }
    }
    Ok(found.into_iter().max_by_key(|kernel| build(&kernel.release)))
}

/// The numbers of a release: `6.1.0-56-cloud-amd64` → 6, 1, 0, 56.
fn build(release: &str) -> Vec<u32> {
    release.split(['.', '-']).map_while(|part| part.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_image_is_the_dependency_of_the_meta_package() {
        assert_eq!(image("linux-image-cloud-amd64"), None);
        let line = "  Depends: linux-image-6.1.0-56-cloud-amd64";
        assert_eq!(image(line), Some("linux-image-6.1.0-56-cloud-amd64"));
        assert_eq!(image("  Recommends: firmware"), None);
    }

    #[test]
    fn builds_are_compared_by_number() {
        assert!(build("6.1.0-100-cloud-amd64") > build("6.1.0-56-cloud-amd64"));
    }
}
