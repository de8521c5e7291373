//! Compiles the kernel programs.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::toolchain::{self, Toolchain};
use crate::{command, workspace};

const TARGET: &str = "bpfel-unknown-none";

/// What cargo, rustup or a user may have set for host programs and what must not reach the BPF build.
const HOST_ONLY: [&str; 6] =
    ["RUST", "CARGO_BUILD_", "CARGO_ENCODED_", "CARGO_TARGET_", "CARGO_PROFILE_", "CARGO_UNSTABLE_"];

/// Each object: the name cargo gives it, and the one that it is looked for by.
const OBJECTS: [(&str, &str); 2] = [("sluice-ebpf", "sluice.o"), ("sluice-traffic", "traffic.o")];

/// Builds the kernel programs and puts them where `lb-userspace/build.rs` embeds them from, and the benchmarks' traffic
/// beside them.
pub(crate) fn build() -> Result<()> {
    let toolchain = toolchain::ensure()?;
    eprintln!("kernel programs: {toolchain}");
    command::run(&mut compile(&toolchain))?;
    for (built, object) in OBJECTS {
        let built = workspace::bpf_target_dir().join(TARGET).join("release").join(built);
        let object = workspace::bpf_objects().join(object);
        copy_if_changed(&built, &object).with_context(|| format!("cannot copy to {}", object.display()))?;
    }
    Ok(())
}

fn compile(toolchain: &Toolchain) -> Command {
    let mut cargo = Command::new(&toolchain.compiler.cargo);
    command::forget_cargo_run(&mut cargo);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        // RUSTUP_TOOLCHAIN, RUSTC, RUSTFLAGS … all start with RUST; RUSTUP_HOME harms nobody and no rustup is called.
        if HOST_ONLY.iter().any(|prefix| text.starts_with(prefix)) {
            cargo.env_remove(&name);
        }
    }
    cargo
        .current_dir(workspace::root())
        .env("RUSTC", &toolchain.compiler.rustc)
        // A released compiler is as good for `-Z build-std` as a nightly, once told so.
        .env("RUSTC_BOOTSTRAP", "1")
        // bpf-linker makes BTF from the debug information; v3 has 32-bit arithmetic (Linux 5.1).
        .env("RUSTFLAGS", "-Cdebuginfo=2 -Clink-arg=--btf -Ctarget-cpu=v3")
        .env("CARGO_TARGET_BPFEL_UNKNOWN_NONE_LINKER", &toolchain.linker.path)
        .env("CARGO_TARGET_DIR", workspace::bpf_target_dir())
        .args(["build", "--release", "--package", "lb-ebpf", "--target", TARGET, "-Z", "build-std=core"]);
    cargo
}

/// An untouched file keeps cargo from embedding it, and building the user-space program, anew.
fn copy_if_changed(from: &PathBuf, to: &PathBuf) -> Result<()> {
    let new = fs::read(from)?;
    if fs::read(to).is_ok_and(|old| old == new) {
        return Ok(());
    }
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder)?;
    }
    Ok(fs::write(to, new)?)
}
