//! Packets of a flow in the order in which they were sent.

use std::{fs, io::ErrorKind, thread};

use anyhow::{Context, Result};
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
};

use crate::netns::Namespace;

/// Has each device of a namespace hand all packets of a flow to one processor (`Documentation/networking/scaling.rst`, RPS),
/// as the queues of a network card do. A veth pair hands each to the processor that sent it: two of them turn an
/// acknowledgment and the data behind it around, and Linux resets a connection that both open at once.
pub(super) fn keep(namespace: &Namespace) -> Result<()> {
    let processors = thread::available_parallelism()?.get().min(31);
    let mask = format!("{:x}", (1_u32 << processors) - 1);
    namespace.enter(|| {
        // A sysfs shows the devices of the namespace that it was mounted in. This mount ends with the thread.
        unshare(CloneFlags::CLONE_NEWNS)?;
        mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)?;
        mount(Some("sysfs"), "/sys", Some("sysfs"), MsFlags::empty(), None::<&str>)?;
        for device in fs::read_dir("/sys/class/net")? {
            let queue = device?.path().join("queues/rx-0/rps_cpus");
            match fs::write(&queue, &mask) {
                // `bonding_masters` is no device.
                Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {}
                done => done.with_context(|| queue.display().to_string())?,
            }
        }
        Ok(())
    })
}
