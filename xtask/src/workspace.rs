//! Where things are in this repository.

use std::env;
use std::path::{Path, PathBuf};

/// The folder of the workspace's `Cargo.toml`.
pub(crate) fn root() -> &'static Path {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask)
}

/// Cargo's target folder of the host programs.
pub(crate) fn target_dir() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |dir| root().join(dir))
}

/// Where `lb-userspace/build.rs` looks for the compiled kernel programs.
pub(crate) fn bpf_objects() -> PathBuf {
    root().join("target/bpf")
}

/// A target folder of their own for the kernel programs: another compiler, other flags, no shared locks.
pub(crate) fn bpf_target_dir() -> PathBuf {
    root().join("target/bpf-build")
}

/// A target folder of their own for the fuzz targets: other flags for every package.
pub(crate) fn fuzz_dir() -> PathBuf {
    root().join("target/fuzz")
}

/// The user's cache folder for tools that are built once per machine and outlive `cargo clean`.
pub(crate) fn tools_dir() -> PathBuf {
    let cache = env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| env::home_dir().map(|home| home.join(".cache")))
        .unwrap_or_else(|| root().join("target"));
    cache.join("sluice")
}
