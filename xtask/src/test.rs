//! `cargo xtask test`: sets the machine up, builds, and runs every test.

mod soak;

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Result, ensure};
use clap::ValueEnum;

use crate::architecture::Architecture;
use crate::tally::Tally;
use crate::{bpffs, build, command, fuzz, image, kernels, packages};

/// How long each fuzz target looks for something new, after its corpus.
const FUZZ_SECONDS: u32 = 15;

/// Which tests to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Group {
    /// Without privileges: every package but lb-tests.
    Unit,
    /// On a real kernel: lb-tests.
    Kernel,
    /// On the oldest kernel supported, in a virtual machine: the suites of lb-tests that ask the most of a kernel.
    Kernels,
    /// Every fuzz target for 15 seconds.
    Fuzz,
    /// All of these.
    All,
}

/// Runs the group's tests. The last line says how many passed and failed.
pub(crate) fn run(group: Group, filter: Option<&str>, args: &[String]) -> Result<ExitCode> {
    // Before anything long: a run without the kernel's half would look like a success.
    let has = |wanted| group == wanted || group == Group::All;
    let sluice = if has(Group::Kernel) || has(Group::Kernels) { Some(prepare()?) } else { None };
    let mut total = Tally::default();
    if has(Group::Unit) {
        let packages = ["--workspace", "--exclude", "lb-tests"];
        total.add(cargo_test("unit", &mut test_command(&packages, filter, None, args))?);
    }
    if let Some(sluice) = sluice.filter(|_| has(Group::Kernel)) {
        let mut command = test_command(&["--package", "lb-tests"], filter, Some(sluice), args);
        let kernel = cargo_test("kernel", &mut command)?;
        total.add(kernel.not_empty(filter, "kernel"));
    }
    if has(Group::Kernels) {
        total.add(kernels::run(filter)?.not_empty(filter, "kernels"));
    }
    // A filter names tests, and targets are none.
    if has(Group::Fuzz) && filter.is_none() {
        let (passed, failed) = fuzz::count(FUZZ_SECONDS)?;
        total.add(Tally::new(passed, failed));
    }
    Ok(finish(total.not_empty(None, "every")))
}

/// Runs the reference model alone, with so many packets; its figures are shown.
pub(crate) fn run_model(packets: u64, args: &[String]) -> Result<ExitCode> {
    let sluice = prepare()?;
    let mut command = test_command(&["--package", "lb-tests", "--test", "model"], None, Some(sluice), args);
    command.env("SLUICE_MODEL_PACKETS", packets.to_string()).arg("--nocapture");
    Ok(finish(cargo_test("model", &mut command)?.not_empty(None, "model")))
}

/// Has every fault of `docs/survival.md` happen again and again, under load.
pub(crate) fn run_soak(minutes: u64, seed: Option<u64>) -> Result<ExitCode> {
    soak::run(prepare()?, minutes, seed)
}

fn finish(total: Tally) -> ExitCode {
    println!("{total}");
    if total.is_green() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What the kernel group needs: privileges, tools, bpffs and the program under test.
fn prepare() -> Result<PathBuf> {
    ensure!(
        packages::is_root(),
        "the kernel tests make network namespaces and load programs: run this as root, \
         or `cargo xtask test unit` for the others"
    );
    packages::ensure_test_tools()?;
    packages::ensure_proxies()?;
    packages::ensure_containerd()?;
    packages::ensure_tools(&packages::SYSTEMD)?;
    bpffs::ensure()?;
    image::run(Architecture::HOST)?;
    Ok(build::release("sluice"))
}

fn test_command(
    packages: &[&str],
    filter: Option<&str>,
    sluice: Option<PathBuf>,
    args: &[String],
) -> Command {
    let mut cargo = command::cargo();
    cargo.args(["test", "--no-fail-fast"]).args(packages).args(filter).arg("--");
    if let Some(sluice) = sluice {
        // A test that cannot run fails: under this command nothing is skipped in silence.
        let ingress = build::release("sluice-ingress");
        cargo.env("SLUICE_BIN", sluice).env("SLUICE_INGRESS_BIN", ingress).env("SLUICE_STRICT", "1");
        // Each makes several namespaces and measures time: side by side they would starve each other.
        cargo.arg("--test-threads=1");
    }
    cargo.args(args);
    cargo
}

fn cargo_test(group: &str, cargo: &mut Command) -> Result<Tally> {
    let mut tally = Tally::default();
    let status = command::tee(cargo, |line| tally.read(line))?;
    Ok(tally.finish(group, status.success()))
}
