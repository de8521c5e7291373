//! The file system that pinned maps and links live in.

use std::fs;
use std::process::Command;

use anyhow::Result;

use crate::command;

/// Where every distribution that runs systemd has it, and where the agent looks by default.
pub(crate) const PATH: &str = "/sys/fs/bpf";

/// The command that mounts it.
pub(crate) const MOUNT: [&str; 5] = ["mount", "-t", "bpf", "bpf", PATH];

/// True if it is mounted.
pub(crate) fn is_mounted() -> bool {
    fs::read_to_string("/proc/self/mounts").is_ok_and(|mounts| mounted_in(&mounts))
}

/// Mounts it if it is not, as containers and minimal systems leave it.
pub(crate) fn ensure() -> Result<()> {
    if is_mounted() { Ok(()) } else { command::run(Command::new(MOUNT[0]).args(&MOUNT[1..])) }
}

/// `mounts` has one line `SOURCE PATH TYPE OPTIONS …` per mount (proc(5)).
fn mounted_in(mounts: &str) -> bool {
    mounts.lines().any(|line| {
        let mut fields = line.split(' ').skip(1);
        fields.next() == Some(PATH) && fields.next() == Some("bpf")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_bpf_mount_at_its_place_counts() {
        assert!(mounted_in("proc /proc proc rw 0 0\nbpf /sys/fs/bpf bpf rw,mode=700 0 0\n"));
        assert!(!mounted_in("tmpfs /sys/fs/bpf tmpfs rw 0 0\nbpf /run/bpf bpf rw 0 0\n"));
    }
}
