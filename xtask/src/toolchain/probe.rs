//! What this machine has for building BPF programs.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::plan::Facts;
use super::{Compiler, LINKER_VERSION, Linker};
use crate::{command, packages, workspace};

/// The name of the distribution's compiler among [`Facts::compilers`].
pub(crate) const SYSTEM: &str = "system";

/// The oldest compiler that takes the workspace (`rust-version` in the root manifest).
const OLDEST_RUSTC: (u32, u32) = (1, 95);

/// Looks at the machine; changes nothing.
pub(crate) fn facts() -> Facts {
    let mut facts = Facts {
        linkers: linkers(),
        llvm_prefixes: llvm_prefixes(),
        debian: packages::is_debian(),
        root: packages::is_root(),
        ..Facts::default()
    };
    for candidate in rustup_compilers().into_iter().chain(system_compiler()) {
        match candidate {
            Ok(compiler) => facts.compilers.push(compiler),
            Err(reason) => facts.unusable.push(reason),
        }
    }
    facts
}

/// Why the compilers and linkers of this machine will not do, one sentence each.
pub(crate) fn rejected(facts: &Facts) -> Vec<String> {
    let mut reasons = facts.unusable.clone();
    if facts.linkers.is_empty() {
        let (major, minor) = LINKER_VERSION;
        reasons.push(format!(
            "no bpf-linker {major}.{minor} or later in PATH or {}",
            workspace::tools_dir().display()
        ));
    }
    for Linker { path, llvm } in &facts.linkers {
        let too_new = facts.compilers.iter().filter(|compiler| llvm.is_some_and(|llvm| llvm < compiler.llvm));
        let names: Vec<_> = too_new.map(|compiler| compiler.name.as_str()).collect();
        if !names.is_empty() {
            reasons.push(format!("{}: its LLVM is older than that of {}", path.display(), names.join(", ")));
        }
    }
    reasons
}

/// Rustup's toolchains, nightlies first: cargo's `-Z build-std` is theirs by right.
fn rustup_compilers() -> Vec<Result<Compiler, String>> {
    let home = env::var_os("RUSTUP_HOME")
        .map(PathBuf::from)
        .or_else(|| env::home_dir().map(|home| home.join(".rustup")))
        .unwrap_or_default();
    let mut folders: Vec<_> = fs::read_dir(home.join("toolchains"))
        .map(|entries| entries.filter_map(|entry| Some(entry.ok()?.path())).collect())
        .unwrap_or_default();
    folders.sort_by_key(|folder| (!file_name(folder).starts_with("nightly"), folder.clone()));
    folders
        .iter()
        .map(|folder| compiler(&file_name(folder), &folder.join("bin/rustc"), folder.join("bin/cargo")))
        .collect()
}

/// The distribution's compiler. It may come without a cargo of its own; the one that runs us serves as well.
fn system_compiler() -> Option<Result<Compiler, String>> {
    let rustc = Path::new("/usr/bin/rustc");
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    rustc.exists().then(|| compiler(SYSTEM, rustc, cargo.into()))
}

fn compiler(name: &str, rustc: &Path, cargo: PathBuf) -> Result<Compiler, String> {
    let refuse = |reason: &str| format!("{name}: {} {reason}", rustc.display());
    let verbose = command::ask(Command::new(rustc).arg("-vV")).ok_or_else(|| refuse("does not run"))?;
    let field = |key: &str| verbose.lines().find_map(|line| line.strip_prefix(key));
    let release_text = field("release: ").ok_or_else(|| refuse("does not tell its release"))?;
    let release = version(release_text).ok_or_else(|| refuse("has a release that is not a version"))?;
    let (llvm, _) =
        field("LLVM version: ").and_then(version).ok_or_else(|| refuse("does not tell its LLVM version"))?;
    if release < OLDEST_RUSTC {
        let (major, minor) = OLDEST_RUSTC;
        return Err(refuse(&format!("is {release_text}, older than {major}.{minor}")));
    }
    let sysroot = command::ask(Command::new(rustc).args(["--print", "sysroot"]))
        .ok_or_else(|| refuse("does not tell its sysroot"))?;
    // The place where cargo looks for the sources, see `-Z build-std` in cargo's book.
    let sources = Path::new(sysroot.trim()).join("lib/rustlib/src/rust");
    if !sources.join("library/core/src/lib.rs").exists() {
        return Err(refuse(&format!("has no library sources (rust-src) in {}", sources.display())));
    }
    // Only a full source tree, as distributions ship it, carries this file; rustup's component always matches.
    if let Ok(found) = fs::read_to_string(sources.join("src/version")) {
        let found = found.trim();
        if !release_text.starts_with(found) {
            return Err(refuse(&format!("is {release_text}, but its library sources are {found}")));
        }
    }
    Ok(Compiler { name: name.to_owned(), rustc: rustc.to_owned(), cargo, release, llvm })
}

/// The bpf-linkers in `PATH` and those that xtask has built, of a sufficient version.
fn linkers() -> Vec<Linker> {
    let built = fs::read_dir(workspace::tools_dir())
        .map(|entries| entries.filter_map(|entry| Some(entry.ok()?.path().join("bin/bpf-linker"))).collect())
        .unwrap_or_else(|_| Vec::new());
    command::find("bpf-linker").into_iter().chain(built).filter_map(linker).collect()
}

fn linker(path: PathBuf) -> Option<Linker> {
    let told = command::ask(Command::new(&path).arg("--version"))?;
    let enough = version(told.trim().strip_prefix("bpf-linker ")?)? >= LINKER_VERSION;
    let llvm = linked_llvm(&fs::read(&path).ok()?);
    enough.then_some(Linker { path, llvm })
}

/// The major version in the `libLLVM.so.N` or `libLLVM-N.so` that a program is dynamically linked with.
fn linked_llvm(program: &[u8]) -> Option<u32> {
    ["libLLVM.so.", "libLLVM-"].iter().find_map(|name| {
        let at = program.windows(name.len()).position(|window| window == name.as_bytes())? + name.len();
        let digits: String =
            program[at..].iter().map(|byte| char::from(*byte)).take_while(char::is_ascii_digit).collect();
        digits.parse().ok()
    })
}

/// Debian puts LLVM N at /usr/lib/llvm-N; the headers are there only with the development package.
fn llvm_prefixes() -> Vec<(u32, PathBuf)> {
    let mut prefixes: Vec<_> = fs::read_dir("/usr/lib")
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let major = file_name(&path).strip_prefix("llvm-")?.parse().ok()?;
            path.join("include/llvm-c/Core.h").exists().then_some((major, path))
        })
        .filter(|(major, _)| packages::is_installed(&format!("libpolly-{major}-dev")))
        .collect();
    prefixes.sort();
    prefixes
}

/// Major and minor of `1.96.0-nightly` and the like.
pub(crate) fn version(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.split(['.', '-', ' ']);
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

fn file_name(path: &Path) -> String {
    path.file_name().map(OsStr::to_string_lossy).unwrap_or_default().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_stable_and_nightly_compare() {
        assert_eq!(version("1.96.0"), Some((1, 96)));
        assert_eq!(version("1.99.0-nightly"), Some((1, 99)));
        assert_eq!(version("22.1.8"), Some((22, 1)));
        assert_eq!(version("unknown"), None);
    }

    #[test]
    fn the_llvm_of_a_dynamic_linker_is_read_from_its_needed_library() {
        assert_eq!(linked_llvm(b"\0libLLVM.so.22.1\0"), Some(22));
        assert_eq!(linked_llvm(b"\0libLLVM-21.so\0"), Some(21));
        assert_eq!(linked_llvm(b"\0libc.so.6\0"), None);
    }
}
