//! What the process keeps of memory that it does not use any more.

/// Gives freed memory back to the system. glibc keeps it for the next time otherwise: the lists of a large cluster leave
/// tens of MiB behind that are needed again at the next start at the earliest.
pub(super) fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim(3) is thread-safe and touches only what is free.
    unsafe {
        libc::malloc_trim(0);
    }
}
