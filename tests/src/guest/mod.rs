//! Process 1 of the virtual machine that `cargo xtask test kernels` boots.

use std::{fs, io, path::Path, process::Command};

use anyhow::{Context, Result, ensure};
use nix::{
    kmod::{ModuleInitFlags, finit_module},
    mount::{MsFlags, mount},
    sys::{
        reboot::{RebootMode, reboot},
        termios::tcdrain,
    },
};

use crate::wait;

/// What is mounted: type and place.
const MOUNTS: [(&str, &str); 4] =
    [("devtmpfs", "/dev"), ("proc", "/proc"), ("sysfs", "/sys"), ("bpf", crate::BPFFS)];

/// Modules to load, a path a line, in this order.
const MODULES: &str = "/etc/modules";
/// Programs to run, with their arguments, one a line.
const PROGRAMS: &str = "/etc/programs";

/// Seconds that a condition may take to come true: the verifier alone takes ten times what it does elsewhere.
const DEADLINE: &str = "300";

/// Where the programs of the system are; the kernel gives process 1 no such variable.
const PATH: &str = "/usr/bin";

/// Says that every program has run and succeeded; `xtask/src/kernels/plan.rs` looks for it.
const END: &str = "guest: every program has succeeded";

/// Sets the machine up, runs the programs and switches it off.
pub fn run() -> ! {
    match set_up().and_then(|()| run_programs()) {
        Ok(()) => println!("{END}"),
        Err(error) => println!("guest: {error:#}"),
    }
    // What is on its way to the console would be lost.
    let _ = tcdrain(io::stdout());
    let error = reboot(RebootMode::RB_POWER_OFF);
    panic!("cannot switch the machine off: {error:?}");
}

fn set_up() -> Result<()> {
    for (kind, path) in MOUNTS {
        fs::create_dir_all(path)?;
        mount(Some(kind), path, Some(kind), MsFlags::empty(), None::<&str>)
            .with_context(|| format!("mounting {path}"))?;
    }
    for path in fs::read_to_string(MODULES)?.lines() {
        let module = fs::File::open(path)?;
        finit_module(module, c"", ModuleInitFlags::empty()).with_context(|| format!("loading {path}"))?;
    }
    Command::new("ip").args(["link", "set", "lo", "up"]).env("PATH", PATH).status().context("ip")?;
    Ok(())
}

fn run_programs() -> Result<()> {
    let mut good = true;
    for line in fs::read_to_string(PROGRAMS)?.lines() {
        let mut words = line.split_whitespace();
        let Some(program) = words.next() else { continue };
        let name = Path::new(program).file_name().unwrap_or_default().display();
        let status = Command::new(program)
            .args(words)
            .env("PATH", PATH)
            // A test that cannot run fails: nothing is skipped in silence.
            .env("SLUICE_STRICT", "1")
            .env("SLUICE_BIN", "/usr/bin/sluice")
            .env(wait::DEADLINE_VARIABLE, DEADLINE)
            .status()
            .with_context(|| format!("starting {program}"))?;
        println!("guest: {name}: {status}");
        good &= status.success();
    }
    ensure!(good, "a program has failed");
    Ok(())
}
