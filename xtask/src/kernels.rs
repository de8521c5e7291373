//! The tests on the oldest kernel that Sluice supports: booted in a virtual machine, with the test programs in its
//! initramfs.

mod initramfs;
mod machine;
mod modules;
mod package;
mod plan;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::tally::Tally;
use crate::{build, command, packages, workspace};
use initramfs::Initramfs;
use modules::Modules;

/// The package of the kernel, and the version that it is to be.
const KERNEL: (&str, &str) = ("linux-image-cloud-amd64", "6.1");

/// Boots the kernel and runs the suites in it, or those of their tests whose name contains `filter`.
pub(crate) fn run(filter: Option<&str>) -> Result<Tally> {
    packages::ensure_guest_tools()?;
    let (package, version) = KERNEL;
    let kernel = package::unpacked(package, version)?;
    let programs = plan::build()?;
    let scratch = workspace::target_dir().join("kernels");
    fs::create_dir_all(&scratch)?;
    let archive = guest(&Modules::below(&kernel.modules())?, &programs, filter, &scratch)?;
    let initramfs = scratch.join("initramfs");
    fs::write(&initramfs, archive).with_context(|| format!("cannot write {}", initramfs.display()))?;
    eprintln!("booting Linux {}", kernel.release);
    machine::run(&kernel.image(), &initramfs)
}

/// The root file system: programs under the paths that they have here, because some look for each other.
fn guest(
    modules: &Modules,
    programs: &BTreeMap<String, PathBuf>,
    filter: Option<&str>,
    scratch: &Path,
) -> Result<Vec<u8>> {
    let mut archive = Initramfs::default();
    archive.console();
    for folder in ["/proc", "/sys", "/run", "/tmp"] {
        archive.directory(Path::new(folder));
    }
    // The tests name the object by way of their package's folder.
    archive.directory(&workspace::root().join("tests"));
    archive.copy(&workspace::bpf_objects().join("sluice.o"))?;
    let order = modules.in_order(&plan::MODULES)?;
    for path in &order {
        archive.copy_as(path, &in_guest(path))?;
    }
    archive.file(
        Path::new("/etc/modules"),
        &lines(order.iter().map(|path| in_guest(path).display().to_string())),
    );
    for tool in plan::TOOLS {
        let path = command::find(tool).with_context(|| format!("no {tool} on this machine"))?;
        archive.program(&path, &Path::new("/usr/bin").join(tool), scratch)?;
    }
    archive.program(&build::release("sluice"), Path::new("/usr/bin/sluice"), scratch)?;
    let suites = plan::SUITES.map(|suite| &programs[suite]);
    for program in [&programs["pod"]].into_iter().chain(suites) {
        archive.program(program, program, scratch)?;
    }
    archive.file(
        Path::new("/etc/programs"),
        &lines(
            suites.map(|program| {
                format!("{} --test-threads=1 {}", program.display(), filter.unwrap_or_default())
            }),
        ),
    );
    archive.program(&programs["guest_init"], Path::new("/init"), scratch)?;
    Ok(archive.finish())
}

/// Where a module is in the guest.
fn in_guest(module: &Path) -> PathBuf {
    Path::new("/modules").join(module.file_name().unwrap_or_default())
}

fn lines(lines: impl IntoIterator<Item = String>) -> Vec<u8> {
    lines.into_iter().map(|line| line + "\n").collect::<String>().into_bytes()
}
