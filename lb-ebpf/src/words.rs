//! Values moved by words: LLVM makes calls of `memcpy` and `memset` of larger ones, which are loops over bytes here.

/// Copies a value from one map to another, word by word.
///
/// # Safety
/// Both are values of maps, which are aligned to eight bytes.
#[inline(always)]
pub(crate) unsafe fn copy<T>(from: *const T, to: *mut T) {
    const { assert!(size_of::<T>() % 8 == 0) };
    let (from, to) = (from.cast::<u64>(), to.cast::<u64>());
    let mut word = 0;
    while word < size_of::<T>() / 8 {
        // SAFETY: inside the value, by its size. Volatile, lest LLVM find the `memcpy` again.
        unsafe { to.add(word).write_volatile(from.add(word).read_volatile()) };
        word += 1;
    }
}

/// Fills a value with zeros, word by word; see [`copy`].
///
/// # Safety
/// `to` is valid for writing and aligned to four bytes.
#[inline(always)]
pub(crate) unsafe fn clear<T>(to: *mut T) {
    const { assert!(size_of::<T>() % 4 == 0) };
    let to = to.cast::<u32>();
    let mut word = 0;
    while word < size_of::<T>() / 4 {
        // SAFETY: inside the value, by its size.
        unsafe { to.add(word).write_volatile(0) };
        word += 1;
    }
}
