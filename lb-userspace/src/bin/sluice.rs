//! `sluice`: the agent and the commands that look at its work.

use std::process::ExitCode;

fn main() -> ExitCode {
    lb_userspace::cli::main()
}
