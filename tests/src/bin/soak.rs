//! `cargo xtask test --soak`: every fault again and again, under load.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::Parser;
use lb_tests::survival::soak::Soak;

#[derive(Parser)]
struct Arguments {
    /// How long.
    #[arg(long, default_value_t = 5)]
    minutes: u64,
    /// Only faults whose names have this text in them.
    #[arg(long)]
    fault: Option<String>,
    /// The order of the faults; a random one without.
    #[arg(long)]
    seed: Option<u64>,
    /// The program of an older release.
    #[arg(long)]
    older_release: Option<PathBuf>,
}

fn main() -> ExitCode {
    let Arguments { minutes, fault, seed, older_release } = Arguments::parse();
    let seed = seed.unwrap_or_else(|| fastrand::u64(..));
    match (Soak { time: Duration::from_secs(minutes * 60), fault, seed, older_release }).run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
