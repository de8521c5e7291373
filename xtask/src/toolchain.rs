//! Finds a way to build the kernel programs, makes one where it may, and says which it is.
//!
//! Three things have to fit: a rustc, the sources of its own core library (the BPF target ships no compiled one)
//! and a bpf-linker whose LLVM is not older than rustc's, because it reads that rustc's bitcode.

mod install;
mod plan;
mod probe;

use std::fmt;
use std::path::PathBuf;

use anyhow::{Result, bail};

pub(crate) use plan::{Plan, plan};
pub(crate) use probe::{facts, rejected, version};

/// The release of bpf-linker that we build with; older ones write no BTF for our maps.
pub(crate) const LINKER_VERSION: (u32, u32) = (0, 13);

/// A compiler that can build for the BPF target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Compiler {
    /// `nightly-x86_64-unknown-linux-gnu`, or `system` for the distribution's.
    pub(crate) name: String,
    pub(crate) rustc: PathBuf,
    pub(crate) cargo: PathBuf,
    /// Major and minor version.
    pub(crate) release: (u32, u32),
    /// Major version of the LLVM it writes bitcode with.
    pub(crate) llvm: u32,
}

/// A bpf-linker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Linker {
    pub(crate) path: PathBuf,
    /// Major version of its LLVM; unknown if that is linked statically.
    pub(crate) llvm: Option<u32>,
}

/// A compiler and a linker that fit each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Toolchain {
    pub(crate) compiler: Compiler,
    pub(crate) linker: Linker,
}

impl fmt::Display for Toolchain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Compiler { name, rustc, release: (major, minor), llvm, .. } = &self.compiler;
        write!(
            f,
            "{name} rustc {major}.{minor} (LLVM {llvm}, {}) with {}",
            rustc.display(),
            self.linker.path.display()
        )
    }
}

/// The toolchain to use, after installing on Debian as root what it lacks.
pub(crate) fn ensure() -> Result<Toolchain> {
    let mut done = Vec::new();
    loop {
        let facts = facts();
        match plan(&facts) {
            Plan::Ready(toolchain) => return Ok(toolchain),
            // Every step mends one fact, so a step that comes up twice did not help.
            Plan::Next(step) if done.contains(&step) => {
                bail!("`{step}` succeeded but what it should provide is still not found");
            }
            Plan::Next(step) => {
                install::carry_out(&step)?;
                done.push(step);
            }
            Plan::Manual(commands) => {
                for reason in rejected(&facts) {
                    eprintln!("{reason}");
                }
                bail!(
                    "no way to build the kernel programs here. To get one, run:\n  {}",
                    commands.join("\n  ")
                );
            }
        }
    }
}
