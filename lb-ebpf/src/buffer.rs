//! A packet, as each hook holds it.

use lb_common::{
    address::IpAddress,
    flow::Flow,
    packet::Packet,
    pipeline::{Bytes, Stage},
};

/// What differs between an XDP frame and an skb; see the methods of the same name of [`Hook`].
pub(crate) trait Buffer {
    const STAGE: Stage;
    const L3: usize;
    fn bytes(&self, offset: usize, length: usize) -> Option<Bytes>;
    fn linear_len(&self) -> usize;
    fn len(&self) -> usize;
    fn segment_payload(&self) -> u32;
    fn pull(&mut self, length: usize);
    fn ifindex(&self) -> u32;
    /// The program's context, for helpers.
    fn context(&self) -> *mut core::ffi::c_void;
    fn rewrite<A: IpAddress>(&mut self, packet: &Packet<A>, flow: &Flow<A>, hop: bool) -> bool;
    fn set_macs(&mut self, macs: &[u32; 3]) -> bool;
    fn grow(&mut self, bytes: u32) -> bool;
    fn encapsulate(&mut self, bytes: u32, v6: bool) -> bool;
    fn decapsulate(&mut self, bytes: u32) -> bool;
    fn resize(&mut self, length: u32) -> bool;
    fn store<const N: usize>(&mut self, offset: usize, words: &[u16; N]) -> bool;
}
