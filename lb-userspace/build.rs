//! Embeds the eBPF object that `cargo xtask build` leaves in `target/bpf`, or an empty stub where there is none: the
//! command line works without it, and the loader says what is missing.

use std::{env, fs, io, path::PathBuf};

/// Path of an object to embed instead.
const OVERRIDE: &str = "SLUICE_BPF_OBJECT";

fn main() -> io::Result<()> {
    let package = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").ok_or(io::ErrorKind::NotFound)?);
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or(io::ErrorKind::NotFound)?).join("sluice.o");
    let object = env::var_os(OVERRIDE).map_or_else(|| package.join("../target/bpf/sluice.o"), PathBuf::from);
    println!("cargo::rerun-if-env-changed={OVERRIDE}");
    println!("cargo::rerun-if-changed={}", object.display());
    println!("cargo::rerun-if-changed=build.rs");
    match fs::read(&object) {
        Ok(bytes) => fs::write(out, bytes),
        // An object that was asked for by name must be there.
        Err(error) if error.kind() == io::ErrorKind::NotFound && env::var_os(OVERRIDE).is_none() => {
            fs::write(out, [])
        }
        Err(error) => Err(error),
    }
}
