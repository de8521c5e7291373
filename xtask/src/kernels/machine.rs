//! The virtual machine. Emulated: no access to KVM is needed, and none is had on most build machines.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Result;

use crate::command;
use crate::tally::Tally;

use super::plan;

/// After how many seconds the guest counts as hung. On a quiet machine it takes a fifth of it.
const DEADLINE: u32 = 1_200;

/// What a virtio-net device must leave off for its driver to take an XDP program: segments put together by the host
/// (`virtnet_xdp_set` in the kernel's drivers/net/virtio_net.c).
const NIC: &str = "virtio-net-pci,guest_tso4=off,guest_tso6=off,guest_ufo=off,guest_ecn=off";

/// Boots the kernel and counts what the tests in it report.
pub(super) fn run(image: &Path, initramfs: &Path) -> Result<Tally> {
    let mut tally = Tally::default();
    let mut ended = false;
    let status = command::tee(&mut emulator(image, initramfs), |line| {
        let line = line.trim_end();
        tally.read(line);
        ended |= line == plan::END;
    })?;
    if !ended {
        eprintln!("error: the guest did not come to its end ({status}); see its output above");
    }
    Ok(tally.finish("kernels", ended && status.success()))
}

fn emulator(image: &Path, initramfs: &Path) -> Command {
    let mut qemu = Command::new("timeout");
    // Otherwise it takes the emulator out of the terminal's foreground, where the first look at its settings stops it.
    qemu.arg("--foreground").stdin(Stdio::null());
    qemu.args(["--kill-after=5", &DEADLINE.to_string(), "qemu-system-x86_64"]);
    qemu.args(["-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "2048"]);
    qemu.args(["-nodefaults", "-no-reboot", "-display", "none", "-serial", "stdio"]);
    // Two network cards on one wire.
    for (number, mac) in ["02:00:00:00:0a:01", "02:00:00:00:0a:02"].into_iter().enumerate() {
        qemu.args(["-netdev", &format!("hubport,id=port{number},hubid=0")]);
        qemu.args(["-device", &format!("{NIC},netdev=port{number},mac={mac}")]);
    }
    qemu.arg("-kernel").arg(image).arg("-initrd").arg(initramfs);
    // A kernel that panics ends the emulator, by way of the reboot that it is not given.
    qemu.args(["-append", "console=ttyS0 quiet panic=-1 oops=panic"]);
    qemu
}
