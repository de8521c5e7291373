//! `cargo xtask test`: sets the machine up, builds, and runs every test.

mod beside;
mod programs;
mod soak;

use std::process::{Command, ExitCode};

use anyhow::{Result, ensure};
use clap::ValueEnum;

use crate::architecture::Architecture;
use crate::tally::Tally;
use crate::{bpffs, build, command, fuzz, image, kernels, packages};
use beside::Beside;
use programs::Program;

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

/// The tests of every package but lb-tests.
const WITHOUT_KERNEL: [&str; 3] = ["--workspace", "--exclude", "lb-tests"];

/// The suites of lb-tests that may run several tests at once: each has a server or a namespace of its own, and waits.
const SIDE_BY_SIDE: [&str; 4] = ["agent_e2e", "ingress_status", "kube_source", "proxy_e2e"];

/// Runs the group's tests. The last line says how many passed and failed.
pub(crate) fn run(group: Group, filter: Option<&str>, args: &[String]) -> Result<ExitCode> {
    let total = match group {
        Group::Unit => unit(&programs::build(&WITHOUT_KERNEL)?, &WITHOUT_KERNEL, filter, args)?,
        Group::Kernel => {
            prepare()?;
            kernel(&programs::build(&["--workspace"])?, filter, args)?
        }
        Group::Kernels => {
            prepare_machine()?;
            build::run()?;
            kernels::run(filter)?.not_empty(filter, "kernels")
        }
        Group::Fuzz => fuzz()?,
        Group::All => all(filter, args)?,
    };
    Ok(finish(total.not_empty(None, "every")))
}

/// Runs the reference model alone, with so many packets; its figures are shown.
pub(crate) fn run_model(packets: u64, args: &[String]) -> Result<ExitCode> {
    prepare()?;
    let programs = programs::build(&["--workspace", "--test", "model"])?;
    let commands = programs.iter().map(|program| {
        let mut command = on_kernel(program, None, args);
        command.env("SLUICE_MODEL_PACKETS", packets.to_string()).arg("--nocapture");
        (program.name.clone(), command)
    });
    Ok(finish(programs::run(commands)?.not_empty(None, "model")))
}

/// Has every fault of `docs/survival.md` happen again and again, under load.
pub(crate) fn run_soak(minutes: u64, fault: Option<&str>, seed: Option<u64>) -> Result<ExitCode> {
    prepare()?;
    soak::run(minutes, fault, seed)
}

fn finish(total: Tally) -> ExitCode {
    println!("{total}");
    if total.is_green() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn all(filter: Option<&str>, args: &[String]) -> Result<Tally> {
    // Before anything long: a run without the kernel's half would look like a success.
    prepare()?;
    let programs = programs::build(&["--workspace"])?;
    // A filter names tests, and fuzz targets are none; what it leaves is not worth running side by side.
    let beside = filter.is_none().then(|| Beside::start(&["fuzz", "kernels"]));
    let here = || {
        let mut total = unit(&programs, &["--workspace"], filter, args)?;
        total.add(kernel(&programs, filter, args)?);
        Ok(total)
    };
    // Whatever becomes of these, the others are not left running.
    let (here, others): (Result<Tally>, _) = (here(), beside.map(Beside::finish));
    let mut total = here?;
    total.add(others.unwrap_or_else(|| kernels::run(filter))?);
    Ok(total)
}

fn unit(programs: &[Program], packages: &[&str], filter: Option<&str>, args: &[String]) -> Result<Tally> {
    let commands = programs.iter().filter(|program| !program.needs_kernel()).map(|program| {
        let mut command = program.command();
        command.args(filter).args(args);
        (program.name.clone(), command)
    });
    let mut examples = command::cargo();
    examples.args(["test", "--doc", "--no-fail-fast"]).args(packages).args(filter).arg("--").args(args);
    programs::run(commands.chain([("documentation".to_owned(), examples)]))
}

fn kernel(programs: &[Program], filter: Option<&str>, args: &[String]) -> Result<Tally> {
    let programs = programs.iter().filter(|program| program.needs_kernel());
    let commands = programs.map(|program| (program.name.clone(), on_kernel(program, filter, args)));
    Ok(programs::run(commands)?.not_empty(filter, "kernel"))
}

fn fuzz() -> Result<Tally> {
    let (passed, failed) = fuzz::count(FUZZ_SECONDS)?;
    Ok(Tally::new(passed, failed))
}

/// What the kernel group needs: privileges, tools, bpffs and the programs under test.
fn prepare() -> Result<()> {
    prepare_machine()?;
    packages::ensure_proxies()?;
    packages::ensure_containerd()?;
    packages::ensure_tools(&packages::SYSTEMD)?;
    image::run(Architecture::HOST)?;
    Ok(())
}

fn prepare_machine() -> Result<()> {
    ensure!(
        packages::is_root(),
        "the kernel tests make network namespaces and load programs: run this as root, \
         or `cargo xtask test unit` for the others"
    );
    packages::ensure_test_tools()?;
    bpffs::ensure()
}

fn on_kernel(program: &Program, filter: Option<&str>, args: &[String]) -> Command {
    let mut command = program.command();
    command.env("SLUICE_BIN", build::release("sluice"));
    command.env("SLUICE_INGRESS_BIN", build::release("sluice-ingress"));
    // A test that cannot run fails: under this command nothing is skipped in silence.
    command.env("SLUICE_STRICT", "1");
    // Most make several namespaces and measure time: side by side they would starve each other.
    let threads = if SIDE_BY_SIDE.contains(&program.name.as_str()) { 4 } else { 1 };
    command.arg(format!("--test-threads={threads}")).args(filter).args(args);
    command
}
