//! Map types as aya hands them to the kernel.

use aya::Pod;

use crate::{
    address::{Address, V4, V6},
    affinity::{Affinity, AffinityKey},
    backend::Backend,
    flow::{Flow, FlowKey, RestoreBucket},
    fragment::{FragmentKey, FragmentPorts},
    interface::Interface,
    limit::Bucket,
    monitor::{Event, Monitor, Sampler},
    name::Name,
    refusal::Refusal,
    ring::RingChunk,
    runtime::Runtime,
    service::{Service, ServiceKey},
    source_range::SourceRangeKey,
    stat::ServiceStats,
    trace::TraceStep,
};

macro_rules! pod {
    ($($type:ty),+ $(,)?) => {
        $(
            // SAFETY: the type derives zerocopy's `IntoBytes` and `FromBytes`, which refuse padding and invalid
            // bit patterns at compile time; `require` below fails to compile where it does not.
            unsafe impl Pod for $type {}
        )+

        const fn require<T: zerocopy::IntoBytes + zerocopy::FromBytes + Copy>() {}
        const _: () = { $(require::<$type>();)+ };
    };
}

pod!(
    Address,
    Affinity,
    AffinityKey,
    Backend,
    Bucket,
    Event,
    FragmentKey,
    FragmentPorts,
    Interface,
    Monitor,
    Name,
    Refusal,
    RingChunk,
    Runtime,
    Sampler,
    Service,
    ServiceKey,
    ServiceStats,
    SourceRangeKey,
    TraceStep,
);

macro_rules! pod_of_family {
    ($($type:ident),+ $(,)?) => {
        $(
            // SAFETY: integers only, and `flow` asserts at compile time that there is no padding between them.
            unsafe impl Pod for $type<V4> {}
            // SAFETY: as above.
            unsafe impl Pod for $type<V6> {}
        )+
    };
}

pod_of_family!(Flow, FlowKey, RestoreBucket);
