//! The time of a packet.

use aya_ebpf::helpers::bpf_ktime_get_coarse_ns;
use lb_common::time::{Tick, tick};

use crate::maps;

/// Now: the kernel's coarse clock, or what a test says.
#[inline(always)]
pub(crate) fn now() -> Tick {
    // Decided when the program is loaded: the verifier drops the branch that is not taken.
    if maps::FED_CLOCK.load() != 0 {
        // SAFETY: the map returned the pointer; the word is read whole.
        return maps::CLOCK.get_ptr(0).map_or(0, |now| unsafe { *now });
    }
    // SAFETY: a helper without arguments.
    tick(unsafe { bpf_ktime_get_coarse_ns() })
}
