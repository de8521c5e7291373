//! From what the machine has to what should be done next. Pure: the same facts give the same plan.

use std::fmt;
use std::path::PathBuf;

use super::{Compiler, LINKER_VERSION, Linker, Toolchain};
use crate::packages;

/// The releases of LLVM that bpf-linker 0.13 can be built with (its `llvm-*` features).
const LINKER_LLVM: std::ops::RangeInclusive<u32> = 21..=23;

/// What the plan depends on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    /// Compilers that can build for BPF, best first.
    pub(crate) compilers: Vec<Compiler>,
    /// Compilers that cannot, with the reason.
    pub(crate) unusable: Vec<String>,
    pub(crate) linkers: Vec<Linker>,
    /// Debian's LLVM development packages: major version → prefix.
    pub(crate) llvm_prefixes: Vec<(u32, PathBuf)>,
    pub(crate) debian: bool,
    pub(crate) root: bool,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    /// Everything is there.
    Ready(Toolchain),
    /// Carry this out, then look again.
    Next(Step),
    /// Only the user can go on, with these commands.
    Manual(Vec<String>),
}

/// One thing that xtask can do by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Install these packages with apt-get.
    Packages(Vec<String>),
    /// Compile bpf-linker against the LLVM at this prefix.
    BuildLinker { llvm: u32, prefix: PathBuf },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Packages(packages) => f.write_str(&packages::install_command(packages)),
            Step::BuildLinker { llvm, prefix } => {
                let (major, minor) = LINKER_VERSION;
                write!(
                    f,
                    "LLVM_PREFIX={} cargo install bpf-linker --version ^{major}.{minor} --locked \
                     --no-default-features --features llvm-{llvm}",
                    prefix.display()
                )
            }
        }
    }
}

/// Decides what to do next.
pub(crate) fn plan(facts: &Facts) -> Plan {
    if let Some(toolchain) = fitting_pair(facts) {
        return Plan::Ready(toolchain);
    }
    let step = match buildable_linker(facts) {
        Some(step) => step,
        None if facts.debian => missing_packages(facts),
        None => return Plan::Manual(rustup_commands()),
    };
    match step {
        Step::Packages(_) if !facts.root => {
            Plan::Manual(vec![step.to_string(), "cargo xtask build".to_owned()])
        }
        step => Plan::Next(step),
    }
}

fn fitting_pair(facts: &Facts) -> Option<Toolchain> {
    facts.compilers.iter().find_map(|compiler| {
        let fits = |linker: &&Linker| linker.llvm.is_none_or(|llvm| llvm >= compiler.llvm);
        let linker = facts.linkers.iter().find(fits)?;
        Some(Toolchain { compiler: compiler.clone(), linker: linker.clone() })
    })
}

/// An LLVM is installed that suits one of the compilers: bpf-linker only has to be compiled.
fn buildable_linker(facts: &Facts) -> Option<Step> {
    facts.compilers.iter().find_map(|compiler| {
        let suits = |llvm: &u32| *llvm >= compiler.llvm && LINKER_LLVM.contains(llvm);
        let (llvm, prefix) = facts.llvm_prefixes.iter().find(|(llvm, _)| suits(llvm))?;
        Some(Step::BuildLinker { llvm: *llvm, prefix: prefix.clone() })
    })
}

/// First the compiler, because only an installed one tells which LLVM the linker needs.
fn missing_packages(facts: &Facts) -> Step {
    let packages = match facts.compilers.iter().find(|compiler| compiler.name == super::probe::SYSTEM) {
        None => vec!["rustc-web".to_owned(), "rust-web-src".to_owned()],
        Some(Compiler { llvm, .. }) => vec![
            format!("llvm-{llvm}-dev"),
            format!("libpolly-{llvm}-dev"),
            "zlib1g-dev".to_owned(),
            "libzstd-dev".to_owned(),
        ],
    };
    Step::Packages(packages)
}

/// The usual way on a developer's machine.
fn rustup_commands() -> Vec<String> {
    let (major, minor) = LINKER_VERSION;
    vec![
        "rustup toolchain install nightly --profile minimal --component rust-src".to_owned(),
        format!(
            "cargo install bpf-linker --version ^{major}.{minor} --locked   # or: cargo binstall bpf-linker"
        ),
        "cargo xtask build".to_owned(),
    ]
}

#[cfg(test)]
mod tests;
