//! What the kernel keeps apart by IP family: flow tables and the form of a FIB query.

use aya_ebpf::{
    bindings::bpf_fib_lookup,
    maps::{LruHashMap, PerCpuArray},
};
use lb_common::{
    address::{IpAddress, V4, V6},
    flow::{Flow, FlowKey, RestoreBucket},
    pipeline::Verdict,
    time::Tick,
    workspace::Workspace,
};

use crate::{maps, parts};

const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

/// A family as the kernel serves it.
pub(crate) trait Family: IpAddress {
    fn flows() -> &'static LruHashMap<FlowKey<Self>, Flow<Self>>;
    fn workspace() -> &'static PerCpuArray<Workspace<Self>>;
    /// The restore records of the flows with a hash.
    fn records(hash: u64) -> Option<*mut RestoreBucket<Self>>;
    /// See [`lb_common::pipeline::is_taken`].
    fn is_taken() -> bool;
    /// See [`lb_common::pipeline::claim`].
    fn claim() -> Verdict;
    /// See [`monitor::tell`](crate::monitor::tell).
    fn tell(what: u32, ifindex: u32);
    /// See [`lb_common::pipeline::keep_records`].
    fn keep_records(now: Tick);
    /// Writes family and addresses of a query.
    fn ask(query: &mut bpf_fib_lookup, src: Self, dst: Self);
    /// The source address of an answer.
    fn source(query: &bpf_fib_lookup) -> Self;
}

impl Family for V4 {
    #[inline(always)]
    fn flows() -> &'static LruHashMap<FlowKey<Self>, Flow<Self>> {
        &maps::FLOWS
    }

    #[inline(always)]
    fn workspace() -> &'static PerCpuArray<Workspace<Self>> {
        &maps::WORKSPACE
    }

    #[inline(always)]
    fn records(hash: u64) -> Option<*mut RestoreBucket<Self>> {
        maps::RESTORE.get_ptr_mut(hash as u32 & maps::RESTORE_MASK.load())
    }

    #[inline(always)]
    fn is_taken() -> bool {
        parts::is_taken_ipv4() != 0
    }

    #[inline(always)]
    fn claim() -> Verdict {
        Verdict::from_bits(parts::claim_ipv4())
    }

    #[inline(always)]
    fn tell(what: u32, ifindex: u32) {
        parts::tell_ipv4(what, ifindex);
    }

    #[inline(always)]
    fn keep_records(now: Tick) {
        parts::keep_records_ipv4(now);
    }

    #[inline(always)]
    fn ask(query: &mut bpf_fib_lookup, src: Self, dst: Self) {
        query.family = AF_INET;
        query.__bindgen_anon_3.ipv4_src = src;
        query.__bindgen_anon_4.ipv4_dst = dst;
    }

    #[inline(always)]
    fn source(query: &bpf_fib_lookup) -> Self {
        // SAFETY: every view of the union is of integers.
        unsafe { query.__bindgen_anon_3.ipv4_src }
    }
}

impl Family for V6 {
    #[inline(always)]
    fn flows() -> &'static LruHashMap<FlowKey<Self>, Flow<Self>> {
        &maps::FLOWS6
    }

    #[inline(always)]
    fn workspace() -> &'static PerCpuArray<Workspace<Self>> {
        &maps::WORKSPACE6
    }

    #[inline(always)]
    fn records(hash: u64) -> Option<*mut RestoreBucket<Self>> {
        maps::RESTORE6.get_ptr_mut(hash as u32 & maps::RESTORE6_MASK.load())
    }

    #[inline(always)]
    fn is_taken() -> bool {
        parts::is_taken_ipv6() != 0
    }

    #[inline(always)]
    fn claim() -> Verdict {
        Verdict::from_bits(parts::claim_ipv6())
    }

    #[inline(always)]
    fn tell(what: u32, ifindex: u32) {
        parts::tell_ipv6(what, ifindex);
    }

    #[inline(always)]
    fn keep_records(now: Tick) {
        parts::keep_records_ipv6(now);
    }

    #[inline(always)]
    fn ask(query: &mut bpf_fib_lookup, src: Self, dst: Self) {
        query.family = AF_INET6;
        query.__bindgen_anon_3.ipv6_src = src;
        query.__bindgen_anon_4.ipv6_dst = dst;
    }

    #[inline(always)]
    fn source(query: &bpf_fib_lookup) -> Self {
        // SAFETY: every view of the union is of integers.
        unsafe { query.__bindgen_anon_3.ipv6_src }
    }
}
