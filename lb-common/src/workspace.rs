//! Memory for one packet's way: what a new IPv6 flow takes does not fit on a BPF program's stack.

use crate::{
    address::V4,
    backend::Backend,
    flow::{Flow, FlowKey},
    service::Service,
    time::Tick,
};

/// One CPU's.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default)]
pub struct Workspace<A = V4> {
    /// The packet's own key.
    pub own: FlowKey<A>,
    /// The flow that is being opened or tended.
    pub flow: Flow<A>,
    /// Its other half.
    pub other: Flow<A>,
    /// A half that is in the way.
    pub holder: Flow<A>,
    /// The other half's key.
    pub key: FlowKey<A>,
    /// The service of a new flow.
    pub service: Service,
    /// Its endpoint.
    pub backend: Backend,
    /// [`hash::flow`](crate::hash::flow) of the packet's own key.
    pub hash: u64,
    /// When the packet came.
    pub now: Tick,
    /// 1 where the packet is the first of its connection.
    pub opens: u32,
    /// The flow's state before the packet.
    pub state_before: u32,
}
