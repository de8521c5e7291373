//! `cargo xtask bench`.

use anyhow::Result;
use clap::Parser;
use lb_tests::bench::{control, ingress, path, program, report};

/// Measures what a packet costs, what a change in the cluster costs, and what a request costs.
#[derive(Parser)]
struct Options {
    /// Write the figures to this file as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<std::path::PathBuf>,
    /// Measure this part only.
    #[arg(long)]
    part: Option<Part>,
    #[command(flatten)]
    control: control::Scale,
    #[command(flatten)]
    ingress: ingress::Scale,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// The program alone, by `test_run`.
    Program,
    /// The whole way through a node, beside nftables.
    Path,
    /// The agent in a large cluster.
    Control,
    /// The proxy, beside nginx and haproxy.
    Ingress,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let wants = |part| options.part.is_none_or(|only| only == part);
    let mut program = Vec::new();
    if wants(Part::Program) {
        for (services, flows) in [(1, 1_000), (1, 100_000), (10_000, 100_000)] {
            for group in program::Group::ALL {
                // A thread of its own, because a lab's namespace ends with its thread.
                let rows = std::thread::scope(|scope| {
                    scope.spawn(|| program::measure(group, services, flows)).join()
                });
                program.extend(rows.map_err(|_| anyhow::anyhow!("the benchmark panicked"))??);
            }
        }
        report::print("Cost of the program: ns per packet by test_run, one call a packet", &program);
    }
    let mut path = Vec::new();
    if wants(Part::Path) {
        path = path::measure()?;
        report::print("Whole way through a node: ns per packet on one core, client veth to pod veth", &path);
    }
    let control = if wants(Part::Control) { Some(control::measure(options.control)?) } else { None };
    if let Some(figures) = &control {
        control::print("The agent in a large cluster", figures);
    }
    let ingress = if wants(Part::Ingress) { Some(ingress::measure(options.ingress)?) } else { None };
    if let Some(figures) = &ingress {
        ingress::print("The proxy: what a request costs, one core each", figures);
    }
    if let Some(file) = options.json {
        let figures =
            serde_json::json!({ "program": program, "path": path, "control": control, "ingress": ingress });
        std::fs::write(&file, serde_json::to_vec_pretty(&figures)?)?;
    }
    Ok(())
}
