//! `cargo xtask bench`.

use anyhow::Result;
use clap::Parser;
use lb_tests::bench::{program, report};

/// Measures what a packet costs.
#[derive(Parser)]
struct Options {
    /// Write the figures to this file as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<std::path::PathBuf>,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let mut rows = Vec::new();
    for (services, flows) in [(1, 1_000), (1, 100_000), (10_000, 100_000)] {
        rows.extend(
            std::thread::spawn(move || program::measure(services, flows))
                .join()
                .expect("the bench panicked")?,
        );
    }
    report::print("ns per packet by test_run, one call a packet", &rows);
    if let Some(path) = options.json {
        std::fs::write(path, serde_json::to_vec_pretty(&rows)?)?;
    }
    Ok(())
}
