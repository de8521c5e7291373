//! What aya does not offer: which device a pinned link is on, letting go of one at once, and reading a map by the batch.
//! The only place with raw calls of bpf(2).

use std::{
    ffi::CString,
    io, mem,
    os::{
        fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::Path,
};

// Numbers and layouts from the kernel's include/uapi/linux/bpf.h.
const BPF_OBJ_PIN: libc::c_int = 6;
const BPF_OBJ_GET: libc::c_int = 7;
const BPF_OBJ_GET_INFO_BY_FD: libc::c_int = 15;
const BPF_MAP_LOOKUP_BATCH: libc::c_int = 24;
const BPF_MAP_UPDATE_BATCH: libc::c_int = 26;
const BPF_LINK_DETACH: libc::c_int = 34;
const BPF_LINK_TYPE_XDP: u32 = 6;
const BPF_LINK_TYPE_TCX: u32 = 11;

/// `union bpf_attr` of `BPF_OBJ_GET` and `BPF_OBJ_PIN`, as far as it is used.
#[repr(C)]
#[derive(Default)]
struct ObjPath {
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

/// `union bpf_attr` of `BPF_MAP_LOOKUP_BATCH` and `BPF_MAP_UPDATE_BATCH`.
#[repr(C)]
struct Batch {
    in_batch: u64,
    out_batch: u64,
    keys: u64,
    values: u64,
    count: u32,
    map_fd: u32,
    elem_flags: u64,
    flags: u64,
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

/// Counts the entries of a hash map or an LPM trie of `most` entries, with keys of `key` and values of `value` bytes, a
/// batch a call.
///
/// # Errors
/// As [`read_entries`].
pub fn count_entries(map: BorrowedFd<'_>, key: u32, value: u32, most: u32) -> io::Result<u64> {
    let mut total = 0;
    read_entries(map, key, value, most, |keys, _| total += (keys.len() / key as usize) as u64)?;
    Ok(total)
}

/// Reads the entries of a hash map or an LPM trie of `most` entries, with keys of `key` and values of `value` bytes, a
/// batch a call: `take` gets the bytes of some keys and as many values at a time.
///
/// It asks for no lock of the whole map and leaves an LRU map's order as it is: the kernel copies each bucket under the
/// bucket's own lock and marks nothing as used (`__htab_map_lookup_and_delete_batch`, kernel/bpf/hashtab.c; only a
/// program's look-up calls `bpf_lru_node_set_ref`). Entries that come and go meanwhile may be missed or read.
///
/// # Errors
/// Whatever bpf(2) answers.
pub fn read_entries(
    map: BorrowedFd<'_>,
    key: u32,
    value: u32,
    most: u32,
    mut take: impl FnMut(&[u8], &[u8]),
) -> io::Result<()> {
    /// Entries a call: more than any bucket holds, or the kernel answers ENOSPC.
    const BATCH: usize = 4096;
    let (key, value) = (key as usize, value as usize);
    let mut keys = vec![0u8; key * BATCH];
    let mut values = vec![0u8; value * BATCH];
    // Where the next batch begins: a bucket's number, or a key (`generic_map_lookup_batch`).
    let mut cursor = vec![0u8; key.max(size_of::<u32>())];
    let mut next = cursor.clone();
    let (mut total, mut begun, mut ended) = (0, false, false);
    while !ended && total < most as usize {
        let mut attr = Batch {
            in_batch: if begun { cursor.as_ptr() as u64 } else { 0 },
            out_batch: next.as_mut_ptr() as u64,
            keys: keys.as_mut_ptr() as u64,
            values: values.as_mut_ptr() as u64,
            count: BATCH as u32,
            map_fd: map.as_raw_fd() as u32,
            elem_flags: 0,
            flags: 0,
        };
        // SAFETY: the buffers hold `count` keys and values and one cursor of the map's sizes, and outlive the call.
        match unsafe { bpf(BPF_MAP_LOOKUP_BATCH, &mut attr) } {
            Ok(_) => {}
            // The last batch, which may be empty.
            Err(error) if error.kind() == io::ErrorKind::NotFound => ended = true,
            Err(error) => return Err(error),
        }
        let count = attr.count as usize;
        take(&keys[..count * key], &values[..count * value]);
        total += count;
        mem::swap(&mut cursor, &mut next);
        begun = true;
    }
    Ok(())
}

/// Reads consecutive values of `value` bytes from an array map, from index `first` on, as many as `values` holds.
///
/// # Errors
/// Whatever bpf(2) answers; `NotFound` where the array ends before.
pub fn read_array(map: BorrowedFd<'_>, first: u32, value: usize, values: &mut [u8]) -> io::Result<()> {
    let count = (values.len() / value) as u32;
    // A batch begins behind the key that it is given.
    let behind = first.checked_sub(1);
    let mut keys = vec![0u32; count as usize];
    let mut last = 0u32;
    let mut attr = Batch {
        in_batch: behind.as_ref().map_or(0, |behind| std::ptr::from_ref(behind) as u64),
        out_batch: (&raw mut last) as u64,
        keys: keys.as_mut_ptr() as u64,
        values: values.as_mut_ptr() as u64,
        count,
        map_fd: map.as_raw_fd() as u32,
        elem_flags: 0,
        flags: 0,
    };
    // SAFETY: the buffers hold `count` indices and values and one index, and outlive the call.
    match unsafe { bpf(BPF_MAP_LOOKUP_BATCH, &mut attr) } {
        // What was asked for ends with the array.
        Err(error) if error.kind() == io::ErrorKind::NotFound && attr.count == count => Ok(()),
        result => result.map(drop),
    }
}

/// Writes consecutive values of `value` bytes into an array map, from index `first` on.
///
/// # Errors
/// Whatever bpf(2) answers.
pub fn write_array(map: BorrowedFd<'_>, first: u32, value: usize, values: &[u8]) -> io::Result<()> {
    let count = (values.len() / value) as u32;
    let keys: Vec<u32> = (first..first + count).collect();
    let mut attr = Batch {
        in_batch: 0,
        out_batch: 0,
        keys: keys.as_ptr() as u64,
        values: values.as_ptr() as u64,
        count,
        map_fd: map.as_raw_fd() as u32,
        elem_flags: 0,
        flags: 0,
    };
    // SAFETY: the kernel reads `count` indices and values from the buffers, which outlive the call.
    unsafe { bpf(BPF_MAP_UPDATE_BATCH, &mut attr) }.map(drop)
}

/// Pins a map, a program or a link that is open.
///
/// # Errors
/// Whatever bpf(2) answers; `AlreadyExists` where something is pinned there.
pub fn pin(object: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut attr =
        ObjPath { pathname: path.as_ptr() as u64, bpf_fd: object.as_raw_fd() as u32, ..ObjPath::default() };
    // SAFETY: `attr` is laid out as the command expects, and `path` is a C string that outlives the call.
    unsafe { bpf(BPF_OBJ_PIN, &mut attr) }.map(drop)
}

/// Opens what is pinned at `path`.
///
/// # Errors
/// Whatever bpf(2) answers; `NotFound` where nothing is pinned.
pub fn open(path: &Path) -> io::Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut get = ObjPath { pathname: path.as_ptr() as u64, ..ObjPath::default() };
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
