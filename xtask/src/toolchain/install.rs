//! Carries out the steps of a plan.

use anyhow::Result;

use super::LINKER_VERSION;
use super::plan::Step;
use crate::{command, packages, workspace};

/// Carries out one step, after saying what and why.
pub(crate) fn carry_out(step: &Step) -> Result<()> {
    match step {
        Step::Packages(packages) => packages::install(packages),
        Step::BuildLinker { llvm, prefix } => {
            let (major, minor) = LINKER_VERSION;
            let root = workspace::tools_dir().join(format!("bpf-linker-llvm-{llvm}"));
            eprintln!(
                "no bpf-linker suits the compiler; building one in {} (about a minute)",
                root.display()
            );
            let mut install = command::cargo();
            install
                // Outside the workspace, so that none of its settings apply.
                .current_dir("/")
                .env("LLVM_PREFIX", prefix)
                .args(["install", "bpf-linker", "--locked", "--no-default-features"])
                .arg("--version")
                .arg(format!("^{major}.{minor}"))
                .arg("--features")
                .arg(format!("llvm-{llvm}"))
                .arg("--root")
                .arg(root);
            command::run(&mut install)
        }
    }
}
