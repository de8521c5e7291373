//! Counters, each CPU its own. The tracing build counts nothing.

use lb_common::stat::ServiceStats;

use crate::{maps, trace::tracing};

/// Adds to a counter of this CPU, which nothing else writes meanwhile.
#[inline(always)]
pub(crate) fn add(counter: Option<*mut u64>, amount: u64) {
    if let Some(counter) = counter
        && !tracing()
    {
        // SAFETY: the map returned the pointer; BPF programs do not migrate, and softirqs do not nest.
        unsafe { *counter += amount };
    }
}

/// Counts a packet of a service and its bytes.
#[inline(always)]
pub(crate) fn packet(service: u32, reply: bool, bytes: u64) {
    let Some(stats) = maps::SERVICE_STATS.get_ptr_mut(service).filter(|_| !tracing()) else {
        return;
    };
    // SAFETY: as for `add`.
    let stats: &mut ServiceStats = unsafe { &mut *stats };
    if reply {
        stats.reply_packets += 1;
        stats.reply_bytes += bytes;
    } else {
        stats.packets += 1;
        stats.bytes += bytes;
    }
}

/// Counts a new flow of a service.
#[inline(always)]
pub(crate) fn new_flow(service: u32) {
    // SAFETY: as for `add`.
    add(maps::SERVICE_STATS.get_ptr_mut(service).map(|stats| unsafe { &raw mut (*stats).new_flows }), 1);
}

/// Counts a packet that was addressed to a service and was refused.
#[inline(always)]
pub(crate) fn service_drop(service: u32) {
    // SAFETY: as for `add`.
    add(maps::SERVICE_STATS.get_ptr_mut(service).map(|stats| unsafe { &raw mut (*stats).drops }), 1);
}
