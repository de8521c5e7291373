//! The images in a real container runtime: a containerd of the test's own imports them, and runs the programs on a node of
//! the test network with what the DaemonSets of `deploy/` ask for, and nothing more.

#![allow(clippy::unwrap_used, reason = "a failed assumption is a failed test")]

mod agent;
mod container;
mod daemon;
mod proxy;

use std::path::{Path, PathBuf};

use lb_tests::skip::{self, Need};

use crate::daemon::{Daemon, mounts_below};

/// What these tests need beside the network.
fn is_possible() -> bool {
    skip::need(skip::NETWORK)
        && skip::need(&[Need::Tool("containerd"), Need::Tool("ctr"), Need::Tool("runc")])
}

/// The archive of a program that `cargo xtask image` made.
fn archive(program: &str) -> PathBuf {
    let processor = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let file = format!("image/{program}-{}-{processor}.tar", env!("CARGO_PKG_VERSION"));
    let own = std::env::current_exe().unwrap();
    let found = own.ancestors().map(|folder| folder.join(&file)).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("no target/{file}: run `cargo xtask image`"))
}

#[test]
fn both_images_are_imported_and_their_programs_tell_their_version() {
    if !is_possible() {
        return;
    }
    let daemon = Daemon::start().unwrap();
    for program in ["sluice", "sluice-ingress"] {
        let image = daemon.import(&archive(program)).unwrap();
        let path = format!("/usr/bin/{program}");
        let run = ["--rm", "--read-only", &image, "version", &path, "--version"];
        let output = daemon.run(&run).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        let told = String::from_utf8_lossy(&output.stdout);
        assert_eq!(told, format!("{program} {}\n", env!("CARGO_PKG_VERSION")), "{error}");
    }
    let folder = daemon.path("");
    drop(daemon);
    assert_eq!(mounts_below(Path::new(&folder)), [] as [PathBuf; 0]);
}
