//! What aya does not offer for pinned links: which device they are on, and letting go at once. The only place with raw
//! system calls.

use std::{
    ffi::CString,
    io,
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::Path,
};

// Numbers and layouts from the kernel's include/uapi/linux/bpf.h.
const BPF_OBJ_GET: libc::c_int = 7;
const BPF_OBJ_GET_INFO_BY_FD: libc::c_int = 15;
const BPF_LINK_DETACH: libc::c_int = 34;
const BPF_LINK_TYPE_XDP: u32 = 6;
const BPF_LINK_TYPE_TCX: u32 = 11;

/// `union bpf_attr` of `BPF_OBJ_GET`, as far as it is used.
#[repr(C)]
#[derive(Default)]
struct ObjGet {
    pathname: u64,
    bpf_fd: u32,
    file_flags: u32,
}

/// `union bpf_attr` of `BPF_OBJ_GET_INFO_BY_FD`.
#[repr(C)]
struct ObjInfo {
    bpf_fd: u32,
    info_len: u32,
    info: u64,
}

/// `union bpf_attr` of `BPF_LINK_DETACH`.
#[repr(C)]
struct LinkDetach {
    link_fd: u32,
}

/// `struct bpf_link_info` up to the fields that `xdp` and `tcx` links share. The union is 8-byte aligned.
#[repr(C)]
#[derive(Default)]
struct RawLinkInfo {
    link_type: u32,
    id: u32,
    prog_id: u32,
    _align: u32,
    ifindex: u32,
    attach_type: u32,
}

/// A pinned link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PinnedLinkInfo {
    /// Id of the link.
    pub id: u32,
    /// Id of the program that the link runs.
    pub program: u32,
    /// Index of the device in the namespace that the link was made in; 0 once the device is gone.
    pub ifindex: u32,
}

/// Reads what the kernel knows of the XDP or tcx link pinned at `path`; none where the pin holds something else.
///
/// # Errors
/// Whatever bpf(2) answers; `NotFound` where nothing is pinned.
pub fn pinned_link(path: &Path) -> io::Result<Option<PinnedLinkInfo>> {
    let fd = open(path)?;
    let mut info = RawLinkInfo::default();
    let mut attr = ObjInfo {
        bpf_fd: fd.as_raw_fd() as u32,
        info_len: size_of::<RawLinkInfo>() as u32,
        info: (&raw mut info) as u64,
    };
    // SAFETY: `info` is writable for `info_len` bytes and outlives the call; every bit pattern is valid for it.
    unsafe { bpf(BPF_OBJ_GET_INFO_BY_FD, &mut attr) }?;
    Ok(matches!(info.link_type, BPF_LINK_TYPE_XDP | BPF_LINK_TYPE_TCX).then_some(PinnedLinkInfo {
        id: info.id,
        program: info.prog_id,
        ifindex: info.ifindex,
    }))
}

/// Detaches the program of the link pinned at `path` before this returns; removing the last pin of a link does so at
/// some later time (`bpf_link_put`), until when the device refuses another XDP program.
///
/// # Errors
/// Whatever bpf(2) answers; `NotFound` where nothing is pinned.
pub fn detach_pinned_link(path: &Path) -> io::Result<()> {
    let fd = open(path)?;
    let mut attr = LinkDetach { link_fd: fd.as_raw_fd() as u32 };
    // SAFETY: `attr` is laid out as the command expects and holds no address.
    unsafe { bpf(BPF_LINK_DETACH, &mut attr) }.map(drop)
}

fn open(path: &Path) -> io::Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut get = ObjGet { pathname: path.as_ptr() as u64, ..ObjGet::default() };
    // SAFETY: `get` is laid out as the command expects, and `path` is a C string that outlives the call.
    let fd = unsafe { bpf(BPF_OBJ_GET, &mut get) }?;
    // SAFETY: the kernel has just opened this descriptor for us; nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// bpf(2).
///
/// # Safety
/// `attr` must be laid out as `command` expects, and every address in it must be valid for what the command does.
unsafe fn bpf<T>(command: libc::c_int, attr: &mut T) -> io::Result<libc::c_int> {
    // SAFETY: the caller vouches for `attr`, whose size is passed along.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, &raw mut *attr, size_of::<T>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result as libc::c_int) }
}
