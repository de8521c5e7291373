//! An XDP program that only passes, without an object file.
//!
//! A veth hands frames that were sent by `XDP_TX` or a redirect to its peer only where the peer runs an XDP program too
//! (`veth_xdp_xmit` in drivers/net/veth.c), so every peer of an uplink gets this one.

use std::{
    ffi::CString,
    fs, io,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
    path::Path,
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::{Context, Result};

use crate::{BPFFS, netns::Namespace};

/// `r0 = XDP_PASS (2)`, `exit`: opcodes of include/uapi/linux/bpf.h, eight bytes an instruction.
const INSTRUCTIONS: [u64; 2] = [0x0000_0002_0000_00b7, 0x0000_0000_0000_0095];

const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_OBJ_PIN: libc::c_int = 6;
const BPF_PROG_TYPE_XDP: u32 = 6;
const BPF_F_XDP_HAS_FRAGS: u32 = 1 << 5;

/// The head of `union bpf_attr` for `BPF_PROG_LOAD`; the kernel takes what is left out as zero.
#[repr(C)]
#[derive(Default)]
struct ProgLoad {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
}

/// The head of `union bpf_attr` for `BPF_OBJ_PIN`.
#[repr(C)]
#[derive(Default)]
struct ObjPin {
    pathname: u64,
    bpf_fd: u32,
    file_flags: u32,
}

fn bpf<T>(command: libc::c_int, attributes: &T) -> io::Result<libc::c_int> {
    // SAFETY: the kernel reads `size_of::<T>()` bytes of the attributes, whose pointers the callers keep alive.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, attributes, size_of::<T>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result as libc::c_int) }
}

/// Loads the program.
///
/// # Errors
/// Without CAP_BPF and CAP_NET_ADMIN.
pub fn load() -> io::Result<OwnedFd> {
    let license = c"Dual MIT/GPL";
    let program = bpf(
        BPF_PROG_LOAD,
        &ProgLoad {
            prog_type: BPF_PROG_TYPE_XDP,
            insn_cnt: INSTRUCTIONS.len() as u32,
            insns: INSTRUCTIONS.as_ptr() as u64,
            license: license.as_ptr() as u64,
            prog_flags: BPF_F_XDP_HAS_FRAGS,
            ..ProgLoad::default()
        },
    )?;
    // SAFETY: the kernel has just made this descriptor for us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(program) })
}

/// Attaches the program to devices of a namespace, in native mode; it stays until the device goes.
///
/// # Errors
/// Where a device is missing or runs another program.
pub fn attach(namespace: &Namespace, devices: &[&str]) -> Result<()> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let program = load().context("cannot load an XDP program")?;
    // `ip` takes a program by its pin only.
    let name = format!("sluice-test-{}-pass-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
    let pin = Path::new(BPFFS).join(name);
    let path = CString::new(pin.as_os_str().as_encoded_bytes())?;
    let attributes =
        ObjPin { pathname: path.as_ptr() as u64, bpf_fd: program.as_raw_fd() as u32, ..ObjPin::default() };
    bpf(BPF_OBJ_PIN, &attributes).with_context(|| format!("cannot pin {}", pin.display()))?;
    let lines: String =
        devices.iter().map(|device| format!("link set {device} xdpdrv pinned {}\n", pin.display())).collect();
    let attached = namespace.ip(&lines);
    let _ = fs::remove_file(&pin);
    attached
}
