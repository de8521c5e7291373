//! `cargo xtask fuzz`: builds the targets of `fuzz/` with libFuzzer and runs them.
//!
//! The flags are cargo-fuzz's, less the address sanitizer, which a stable compiler does not have.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail, ensure};

use crate::{command, packages, workspace};

/// Coverage as libFuzzer wants it (`SanitizerCoverage` in clang's documentation), and `cfg(fuzzing)`.
const RUSTFLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1";
/// An input that takes longer hangs.
const TIMEOUT_SECONDS: u32 = 10;
/// An input that takes more memory leaks, or expands without end.
const LIMIT_MB: u32 = 2048;
/// Long enough for several documents or packets, short enough to be quick.
const LONGEST_INPUT: u32 = 16_384;

/// Runs one target, or each in turn. Fails where one finds something.
pub(crate) fn run(target: Option<&str>, seconds: u32) -> Result<ExitCode> {
    let all = targets()?;
    let chosen: Vec<_> = all.iter().filter(|name| target.is_none_or(|target| target == **name)).collect();
    ensure!(!chosen.is_empty(), "no such target; choose one of: {}", all.join(", "));
    let programs = build()?;
    let mut found = Vec::new();
    for name in chosen {
        if !finds_nothing(&programs, name, seconds)? {
            found.push(name.as_str());
        }
    }
    if found.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!(
        "error: findings of {}; mend the cause, and keep the input as fuzz/corpus/TARGET/what-it-was",
        found.join(", ")
    );
    Ok(ExitCode::FAILURE)
}

/// Runs every target for `seconds`; how many found nothing, and how many did find something.
pub(crate) fn count(seconds: u32) -> Result<(u64, u64)> {
    let programs = build()?;
    let mut counts = (0, 0);
    for name in targets()? {
        *if finds_nothing(&programs, &name, seconds)? { &mut counts.0 } else { &mut counts.1 } += 1;
    }
    Ok(counts)
}

/// The names of the targets.
fn targets() -> Result<Vec<String>> {
    let folder = workspace::root().join("fuzz/fuzz_targets");
    let entries = fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let names =
        entries.map(|entry| Ok(entry?.path().file_stem().map(|name| name.to_string_lossy().into_owned())));
    let mut names: Vec<_> = names.filter_map(Result::transpose).collect::<Result<_>>()?;
    names.sort();
    Ok(names)
}

/// Builds all targets; the folder of the programs.
fn build() -> Result<PathBuf> {
    packages::ensure_tools(&packages::FUZZ_TOOLS)?;
    let host = host()?;
    let folder = workspace::fuzz_dir();
    // With a target named, the flags are for the programs alone and not for build scripts.
    let mut build = command::cargo();
    build.env("RUSTFLAGS", RUSTFLAGS);
    build.args([
        "build",
        "--package",
        "lb-fuzz",
        "--bins",
        "--profile",
        "fuzz",
        "--target",
        &host,
        "--target-dir",
    ]);
    command::run(build.arg(&folder))?;
    Ok(folder.join(host).join("fuzz"))
}

fn host() -> Result<String> {
    let told = command::ask(command::cargo().arg("-vV")).context("cannot ask cargo for its version")?;
    match told.lines().find_map(|line| line.strip_prefix("host: ")) {
        Some(host) => Ok(host.to_owned()),
        None => bail!("cargo -vV does not name its host"),
    }
}

/// Replays the corpus, then goes on from there. What is new and of use to later runs stays in the build folder, what
/// is found in `fuzz/artifacts`.
fn finds_nothing(programs: &Path, name: &str, seconds: u32) -> Result<bool> {
    let root = workspace::root().join("fuzz");
    let grown = workspace::fuzz_dir().join("corpus").join(name);
    let artifacts = root.join("artifacts").join(name);
    for folder in [&grown, &artifacts] {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    let mut fuzz = Command::new(programs.join(name));
    fuzz.arg(grown).arg(root.join("corpus").join(name));
    fuzz.arg(format!("-max_total_time={seconds}")).arg(format!("-artifact_prefix={}/", artifacts.display()));
    fuzz.args([format!("-timeout={TIMEOUT_SECONDS}"), format!("-rss_limit_mb={LIMIT_MB}")]);
    fuzz.args([
        format!("-max_len={LONGEST_INPUT}").as_str(),
        "-print_final_stats=1",
        "-print_funcs=0",
        "-verbosity=0",
    ]);
    Ok(command::status(&mut fuzz)?.success())
}
