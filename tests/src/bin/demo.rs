//! `cargo xtask demo`; see `lb_tests::demo`.

use std::process::ExitCode;

use clap::Parser;
use lb_tests::demo;

/// Lays out a small network on this machine, runs Sluice in it, and takes parts of it away.
#[derive(Parser)]
struct Arguments {
    /// Leaves everything running and says what to try.
    #[arg(long)]
    keep: bool,
    /// Only removes what an earlier run with --keep left.
    #[arg(long, conflicts_with = "keep")]
    cleanup: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = if arguments.cleanup { demo::clean_up() } else { demo::run(arguments.keep) };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}
