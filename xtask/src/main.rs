//! `cargo xtask VERB`: builds, tests, measures and shows Sluice. One file per verb.

mod architecture;
mod bench;
mod bpffs;
mod build;
mod charts;
mod ci;
mod cli;
mod command;
mod demo;
mod docs;
mod doctor;
mod ebpf;
mod fuzz;
mod image;
mod kernels;
mod lint;
mod packages;
mod services;
mod tally;
mod test;
mod toolchain;
mod workspace;

fn main() -> std::process::ExitCode {
    cli::run()
}
