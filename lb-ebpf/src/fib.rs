//! Routes, as `bpf_fib_lookup` knows them.

use aya_ebpf::{bindings::bpf_fib_lookup, helpers::generated::bpf_fib_lookup as fib_lookup};
use lb_common::pipeline::{FIB_SUCCESS, Route};

use crate::{family::Family, maps, words::clear};

/// `BPF_FIB_LOOKUP_SRC` (kernel 6.7): report the route's preferred source.
const BPF_FIB_LOOKUP_SRC: u32 = 1 << 4;

/// Looks a route up for a packet that came in by `ifindex`; see `Hook::route`.
#[inline(always)]
pub(crate) fn look_up<A: Family>(
    context: *mut core::ffi::c_void,
    ifindex: u32,
    protocol: u8,
    src_be: A,
    dst_be: A,
) -> Route<A> {
    let Some(query) = maps::FIB_QUERY.get_ptr_mut(0) else {
        return Route { code: -1, ifindex: 0, macs: [0; 3], source_be: A::NONE, mtu: 0 };
    };
    // SAFETY: this CPU's query; all zero is valid: integers and unions of integers.
    let query = unsafe {
        clear(query);
        &mut *query
    };
    A::ask(query, src_be, dst_be);
    query.l4_protocol = protocol;
    query.ifindex = ifindex;
    let wants_source = src_be.is_none() && maps::FIB_SRC.load() != 0;
    let flags = if wants_source { BPF_FIB_LOOKUP_SRC } else { 0 };
    // Not the packet's length, which may be that of a GSO aggregate: 1 fits any route, and makes the kernel report
    // its MTU in the same field (`bpf_fib_set_fwd_params` in net/core/filter.c).
    query.__bindgen_anon_1.tot_len = 1;
    // SAFETY: context and query are valid, the size is the query's.
    let code = unsafe { fib_lookup(context, &raw mut *query, size_of::<bpf_fib_lookup>() as i32, flags) };
    let (d, s) = (query.dmac, query.smac);
    let macs = [
        u32::from_ne_bytes([d[0], d[1], d[2], d[3]]),
        u32::from_ne_bytes([d[4], d[5], s[0], s[1]]),
        u32::from_ne_bytes([s[2], s[3], s[4], s[5]]),
    ];
    let source_be = if wants_source { A::source(query) } else { A::NONE };
    // SAFETY: both views of the union are integers of one size.
    let mtu = unsafe { query.__bindgen_anon_1.mtu_result };
    // Only a look-up that went through to the end writes it; without a neighbour it is still the length asked for.
    let mtu = if i64::from(code) == FIB_SUCCESS { mtu } else { 0 };
    Route { code: i64::from(code), ifindex: query.ifindex, macs, source_be, mtu }
}
