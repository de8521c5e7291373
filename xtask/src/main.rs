//! `cargo xtask VERB`: builds, tests, measures and shows Sluice. One file per verb.

mod build;
mod cli;
mod command;
mod doctor;
mod ebpf;
mod packages;
mod toolchain;
mod workspace;

fn main() -> std::process::ExitCode {
    cli::run()
}
