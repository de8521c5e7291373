//! The verbs and their arguments.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use crate::architecture::Architecture;
use crate::test::Group;
use crate::{bench, build, charts, ci, demo, docs, doctor, ebpf, fuzz, image, lint, test};

/// Builds, tests, measures and shows Sluice.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Verb {
    /// Build the kernel programs, `sluice` and `sluice-ingress` in release mode, linked statically.
    Build {
        /// Build the kernel programs only.
        #[arg(long)]
        bpf_only: bool,
    },
    /// Build the container images of `sluice` and `sluice-ingress` as files for containerd or Docker. No container
    /// engine is needed.
    Image {
        /// The processor that they are for.
        #[arg(long, value_enum, default_value_t = Architecture::HOST)]
        arch: Architecture,
    },
    /// Show it at work: a client, two nodes and pods in network namespaces, served by real agents. Needs root.
    Demo {
        /// Leave everything running and print what to try.
        #[arg(long)]
        keep: bool,
        /// Only remove what an earlier run with --keep left.
        #[arg(long, conflicts_with = "keep")]
        cleanup: bool,
    },
    /// Run the tests; those on a real kernel need root.
    Test {
        #[arg(value_enum, default_value_t = Group::All)]
        group: Group,
        /// Only tests whose name contains this.
        filter: Option<String>,
        /// Only hold the kernel programs against the reference model, with so many random packets; 0: until they differ.
        /// SLUICE_MODEL_SEED says where to begin.
        #[arg(long, value_name = "PACKETS", conflicts_with_all = ["group", "filter"])]
        model: Option<u64>,
        /// Only have every fault of docs/survival.md happen again and again under load, and print what was lost.
        #[arg(long, conflicts_with_all = ["group", "filter", "model"])]
        soak: bool,
        /// How long; a round of faults that has begun is gone through.
        #[arg(long, value_name = "N", default_value_t = 10, requires = "soak")]
        minutes: u64,
        /// Only faults whose names contain this; the time is divided among them.
        #[arg(long, value_name = "TEXT", requires = "soak")]
        fault: Option<String>,
        /// Which order of faults; a random one without, which is printed.
        #[arg(long, requires = "soak")]
        seed: Option<u64>,
        /// For the test programs, for example `-- --nocapture`.
        #[arg(last = true)]
        args: Vec<String>,
    },
    /// Look for inputs that bring a target of `fuzz/` down, and keep what it finds in `fuzz/artifacts`.
    Fuzz {
        /// One of `fuzz/fuzz_targets`; each in turn without.
        target: Option<String>,
        /// How long for each.
        #[arg(long, default_value_t = 60)]
        seconds: u32,
    },
    /// Measure what a packet costs beside nftables, and a request beside nginx and haproxy. Needs root.
    Bench {
        /// Write the figures to this file.
        #[arg(long)]
        json: Option<PathBuf>,
        /// For the bench program, see `-- --help`.
        #[arg(last = true)]
        args: Vec<String>,
    },
    /// Write the Helm chart, which is made from the kustomize base.
    Charts {
        /// Also have `helm` render it, and keep what it renders beside it.
        #[arg(long)]
        render: bool,
    },
    /// Write the pages of `docs/` that are made from the code.
    Docs,
    /// Check formatting, lints, documentation, generated pages, dependencies and texts.
    Lint,
    /// Say what building and testing need, what is missing and how to mend it.
    Doctor,
    /// What continuous integration runs: lint, then test.
    Ci,
}

/// Runs the verb named on the command line. 0: it succeeded; 1: it did not; 2: the arguments are wrong.
pub(crate) fn run() -> ExitCode {
    match dispatch(Verb::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(verb: Verb) -> Result<ExitCode> {
    match verb {
        Verb::Build { bpf_only: true } => ebpf::build().map(|_| ExitCode::SUCCESS),
        Verb::Build { bpf_only: false } => build::run().map(|_| ExitCode::SUCCESS),
        Verb::Image { arch } => image::run(arch).map(|_| ExitCode::SUCCESS),
        Verb::Demo { keep: true, .. } => demo::run(&["--keep"]),
        Verb::Demo { cleanup: true, .. } => demo::run(&["--cleanup"]),
        Verb::Demo { .. } => demo::run(&[]),
        Verb::Test { model: Some(packets), args, .. } => test::run_model(packets, &args),
        Verb::Test { soak: true, minutes, fault, seed, .. } => {
            test::run_soak(minutes, fault.as_deref(), seed)
        }
        Verb::Test { group, filter, args, .. } => test::run(group, filter.as_deref(), &args),
        Verb::Fuzz { target, seconds } => fuzz::run(target.as_deref(), seconds),
        Verb::Bench { json, args } => bench::run(json.as_deref(), &args),
        Verb::Charts { render } => charts::run(render),
        Verb::Docs => docs::run(),
        Verb::Lint => lint::run(),
        Verb::Doctor => doctor::run(),
        Verb::Ci => ci::run(),
    }
}
