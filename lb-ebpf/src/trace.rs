//! What `sluice trace` reads, written by the tracing build of a program only.

use lb_common::{address::Address, trace::TraceStep};

use crate::maps;

/// True in the tracing build, which writes no other map.
#[inline(always)]
pub(crate) fn tracing() -> bool {
    maps::TRACING.load() != 0
}

/// Notes a step. Out of line: what only the tracing build does must not cost the other one any stack.
#[inline(never)]
pub(crate) fn note(step: u32, a: u32, b: u32, c: u32, addresses: &[Address; 2]) {
    // Element 0 counts the steps.
    let Some(head) = maps::TRACE.get_ptr_mut(0) else {
        return;
    };
    // SAFETY: the trace map belongs to one run of one program.
    let number = unsafe {
        (*head).a += 1;
        (*head).a
    };
    if let Some(element) = maps::TRACE.get_ptr_mut(number) {
        let [from, to] = *addresses;
        // SAFETY: as above.
        unsafe { *element = TraceStep { kind: step, a, b, c, from, to } };
    }
}
