//! `cargo xtask image`: the container images as files, made without a container engine.
//!
//! One for each program: a node that only forwards packets carries no proxy, and the proxy's image no way to load programs
//! into the kernel. They hold the programs that `cargo xtask build` makes and tests run, and need no base.

mod archive;

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use self::archive::{Image, User};
use crate::{architecture::Architecture, build, command, workspace};

/// Each image: the program, what it is, its licences, and who it runs as where nobody says otherwise.
const IMAGES: [(&str, &str, &str, User); 2] = [
    (
        "sluice",
        "XDP load balancer for Kubernetes north-south traffic",
        // The second is that of the kernel programs, which are inside.
        "(MIT OR Apache-2.0) AND (MIT OR GPL-2.0-only)",
        // bpffs belongs to root; the DaemonSet takes away what root does not need.
        User(0),
    ),
    (
        "sluice-ingress",
        "Layer 7 proxy for Kubernetes Ingress, beside Sluice",
        "MIT OR Apache-2.0",
        User(65534),
    ),
];

/// Builds the images for a processor; the paths of the archives.
pub(crate) fn run(architecture: Architecture) -> Result<Vec<PathBuf>> {
    let programs = build::shipped(architecture)?;
    let folder = workspace::target_dir().join("image");
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let version = env!("CARGO_PKG_VERSION");
    IMAGES
        .iter()
        .map(|&(name, description, licences, user)| {
            let program = stripped(architecture, &programs.join(name))?;
            let architecture = architecture.name();
            let image = Image { name, description, licences, version, architecture, user, program };
            let path = folder.join(format!("{name}-{version}-{architecture}.tar"));
            let file = File::create(&path).with_context(|| path.display().to_string())?;
            let digest = archive::write(&image, file)?;
            eprintln!("built {}: {name}:{version}, sha256:{digest}", path.display());
            Ok(path)
        })
        .collect()
}

/// The program without its debug information, which is most of its size.
fn stripped(architecture: Architecture, program: &Path) -> Result<Vec<u8>> {
    let slim = program.with_extension("stripped");
    let prefix = architecture.cross_tools().map_or("", |(prefix, _)| prefix);
    let mut strip = Command::new(format!("{prefix}strip"));
    command::run(strip.arg("--strip-debug").arg("-o").arg(&slim).arg(program))?;
    fs::read(&slim).with_context(|| slim.display().to_string())
}
