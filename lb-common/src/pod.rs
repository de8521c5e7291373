//! Map types as aya hands them to the kernel.

use aya::Pod;

use crate::{
    backend::Backend,
    flow::{Flow, FlowKey, RestoreBucket},
    interface::Interface,
    limit::Bucket,
    name::Name,
    ring::RingChunk,
    runtime::Runtime,
    service::{Service, ServiceKey},
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
    Backend,
    Bucket,
    Flow,
    FlowKey,
    Interface,
    Name,
    RestoreBucket,
    RingChunk,
    Runtime,
    Service,
    ServiceKey,
    ServiceStats,
    TraceStep,
);
