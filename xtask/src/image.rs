//! `cargo xtask image`: the container image as a file, made without a container engine.
//!
//! The programs are linked statically, so that the image needs no base: it holds them and nothing else.

mod archive;

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use self::archive::{Image, Program};
use crate::{command, ebpf, workspace};

const PROGRAMS: [&str; 2] = ["sluice", "sluice-ingress"];

/// This machine's processor as the OCI image specification has it from Go, and as Rust's target.
///
/// Of the GNU C library, because the allocator of musl would cost the proxy its speed; since 2.34 that needs no other
/// library to resolve names when linked statically.
fn processor() -> Result<(&'static str, &'static str)> {
    match std::env::consts::ARCH {
        "x86_64" => Ok(("amd64", "x86_64-unknown-linux-gnu")),
        "aarch64" => Ok(("arm64", "aarch64-unknown-linux-gnu")),
        other => bail!("no image for {other}: build it on x86_64 or aarch64"),
    }
}

/// Builds the image for this machine's processor; the path of the archive.
pub(crate) fn run() -> Result<PathBuf> {
    let (architecture, target) = processor()?;
    ebpf::build()?;
    let folder = link(target)?;
    let version = env!("CARGO_PKG_VERSION");
    let programs = PROGRAMS.iter().map(|name| Ok(Program { name, bytes: stripped(&folder.join(name))? }));
    let programs = programs.collect::<Result<_>>()?;
    let image = Image { name: format!("sluice:{version}"), architecture, version, programs };
    let folder = workspace::target_dir().join("image");
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let path = folder.join(format!("sluice-{version}-{architecture}.tar"));
    let file = File::create(&path).with_context(|| path.display().to_string())?;
    archive::write(&image, file)?;
    eprintln!("built {}: {}", path.display(), image.name);
    eprintln!("load it on each node: ctr -n k8s.io images import FILE");
    Ok(path)
}

/// Links the programs statically; the folder that they are in.
fn link(target: &str) -> Result<PathBuf> {
    let mut cargo = command::cargo();
    cargo.args(["build", "--release", "--package", "lb-userspace", "--package", "lb-proxy", "--bins"]);
    // With a target named, these flags are not those of build scripts and macros, which cannot be linked so.
    cargo.args(["--target", target]);
    cargo.args(["--config", &format!(r#"target.{target}.rustflags=["-C", "target-feature=+crt-static"]"#)]);
    command::run(&mut cargo)?;
    Ok(workspace::target_dir().join(target).join("release"))
}

/// The program without its debug information, which is most of its size.
fn stripped(program: &Path) -> Result<Vec<u8>> {
    let slim = program.with_extension("stripped");
    command::run(Command::new("strip").arg("--strip-debug").arg("-o").arg(&slim).arg(program))?;
    fs::read(&slim).with_context(|| slim.display().to_string())
}
