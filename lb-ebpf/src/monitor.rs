//! Events for `sluice monitor`, see [`lb_common::monitor`].

use aya_ebpf::{
    bindings::BPF_RB_NO_WAKEUP,
    helpers::{bpf_ktime_get_coarse_ns, bpf_ktime_get_ns},
};
use lb_common::{
    monitor::{Event, Kind, Monitor, Sampler, What},
    workspace::Workspace,
};

use crate::{family::Family, maps, trace::tracing, words::clear};

/// True where a monitor is there, or was killed: all that a packet pays without one.
#[inline(always)]
pub(crate) fn is_there() -> bool {
    // SAFETY: the map returned the pointer; the word is read whole.
    !tracing() && maps::MONITOR.get_ptr(0).is_some_and(|monitor| unsafe { (*monitor).until } != 0)
}

/// Tells what happened to the packet in the workspace, if that is asked for and the rate allows it.
#[inline(always)]
pub(crate) fn tell<A: Family>(what: What, ifindex: u32) {
    if what.kind() == 0 || !is_there() {
        return;
    }
    let (Some(monitor), Some(sampler), Some(workspace)) =
        (maps::MONITOR.get_ptr(0), maps::SAMPLER.get_ptr_mut(0), A::workspace().get_ptr(0))
    else {
        return;
    };
    // SAFETY: the maps returned the pointers. Only user space writes the monitor, the sampler and the workspace are this
    // CPU's, and whoever called this touches neither meanwhile.
    let (monitor, sampler, workspace): (&Monitor, &mut Sampler, &Workspace<A>) =
        unsafe { (&*monitor, &mut *sampler, &*workspace) };
    let what = what.resolved(workspace);
    if what.kind() == 0 {
        return;
    }
    // SAFETY: a helper without arguments. The coarse clock is fine enough for a deadline and a rate.
    let now = unsafe { bpf_ktime_get_coarse_ns() };
    if !monitor.wants(what, now) || !sampler.takes(monitor, now) {
        return;
    }
    let Some(mut entry) = maps::EVENTS.reserve::<Event>(0) else {
        sampler.lost += 1;
        return;
    };
    let event = entry.as_mut_ptr();
    // SAFETY: the ring lends as many bytes as an event has, aligned to eight; any integers are an event.
    let event = unsafe {
        clear(event);
        &mut *event
    };
    event.describe(what, &workspace.own, ifindex);
    if what.kind() != Kind::Drop as u32 {
        event.add_flow(&workspace.flow);
    }
    // SAFETY: a helper without arguments.
    event.time = unsafe { bpf_ktime_get_ns() };
    // The monitor looks at the ring by itself: waking it costs more than all of the above.
    entry.submit(u64::from(BPF_RB_NO_WAKEUP));
}
