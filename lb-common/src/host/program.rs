//! The programs: what stands around the pipeline at each hook, and what its verdict is called there.

use std::vec::Vec;

use super::{Egress, Family, Host, Ingress, Place, Tables, Xdp};
use crate::{
    address::{V4, V6},
    packet::{
        ETHERNET_LEN, ETHERTYPE_IPV4_BE, ETHERTYPE_IPV6_BE, ETHERTYPE_QINQ_BE, ETHERTYPE_VLAN_BE,
        VLAN_TAG_LEN,
    },
    pipeline::{self, Action, Verdict},
};

/// What programs return.
pub mod verdict {
    /// `XDP_DROP`.
    pub const XDP_DROP: u32 = 1;
    /// `XDP_PASS`.
    pub const XDP_PASS: u32 = 2;
    /// `XDP_TX`.
    pub const XDP_TX: u32 = 3;
    /// `XDP_REDIRECT`.
    pub const XDP_REDIRECT: u32 = 4;
    /// `TC_ACT_UNSPEC`: on to the next program.
    pub const TC_NEXT: u32 = u32::MAX;
    /// `TC_ACT_SHOT`.
    pub const TC_SHOT: u32 = 2;
    /// `TC_ACT_REDIRECT`.
    pub const TC_REDIRECT: u32 = 7;
}

/// What became of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// One of [`verdict`].
    pub verdict: u32,
    /// Its bytes afterwards.
    pub frame: Vec<u8>,
}

/// A frame through `sluice_xdp`.
pub fn xdp(tables: &Tables, ifindex: u32, frame: Vec<u8>) -> Outcome {
    let Some((tags, frame)) = untag(&frame) else {
        return Outcome { verdict: verdict::XDP_PASS, frame };
    };
    let (done, mut frame) = either_family::<Xdp>(tables, ifindex, frame);
    let (verdict, leaves_by, tags) = match done.action() {
        Action::Pass => (verdict::XDP_PASS, ifindex, tags),
        Action::Answer => (verdict::XDP_TX, ifindex, tags),
        Action::Forward => (verdict::XDP_REDIRECT, done.number(), Vec::new()),
        Action::ForwardTagged => match tables.interfaces.get(&done.number()) {
            Some(device) => {
                let tags = device.tags.iter().filter(|tag| tag.protocol_be != 0);
                let tags =
                    tags.flat_map(|tag| [tag.protocol_be.to_ne_bytes(), tag.id_be.to_ne_bytes()].concat());
                (verdict::XDP_REDIRECT, device.parent, tags.collect())
            }
            None => (verdict::XDP_DROP, ifindex, Vec::new()),
        },
        // What a frame that is dropped looks like is nobody's business.
        _ => (verdict::XDP_DROP, ifindex, Vec::new()),
    };
    frame.splice(ADDRESSES..ADDRESSES, tags);
    let verdict =
        if verdict == verdict::XDP_REDIRECT && leaves_by == ifindex { verdict::XDP_TX } else { verdict };
    Outcome { verdict, frame }
}

/// A frame through `sluice_in`, on a device whose MAC address is all zeros: `test_run`'s loopback.
pub fn tcx_ingress(tables: &Tables, ifindex: u32, frame: Vec<u8>) -> Outcome {
    let to_group = frame.first().is_some_and(|byte| byte & 1 == 1);
    if !to_group && frame.iter().take(6).any(|byte| *byte != 0) {
        return Outcome { verdict: verdict::TC_NEXT, frame };
    }
    tcx::<Ingress>(tables, ifindex, frame)
}

/// A frame through `sluice_out`.
pub fn tcx_egress(tables: &Tables, ifindex: u32, frame: Vec<u8>) -> Outcome {
    tcx::<Egress>(tables, ifindex, frame)
}

fn tcx<P: Place>(tables: &Tables, ifindex: u32, frame: Vec<u8>) -> Outcome {
    let (done, frame) = either_family::<P>(tables, ifindex, frame);
    let verdict = match done.action() {
        Action::Pass => verdict::TC_NEXT,
        Action::Answer | Action::Forward | Action::ForwardTagged => verdict::TC_REDIRECT,
        _ => verdict::TC_SHOT,
    };
    Outcome { verdict, frame }
}

fn either_family<P: Place>(tables: &Tables, ifindex: u32, frame: Vec<u8>) -> (Verdict, Vec<u8>) {
    match ethertype_be(&frame, ADDRESSES) {
        Some(ETHERTYPE_IPV4_BE) => through::<P, V4>(tables, ifindex, frame),
        Some(ETHERTYPE_IPV6_BE) => through::<P, V6>(tables, ifindex, frame),
        _ => (Verdict::PASS, frame),
    }
}

fn through<P: Place, A: Family>(tables: &Tables, ifindex: u32, frame: Vec<u8>) -> (Verdict, Vec<u8>) {
    let mut host = Host::<P, A>::new(tables, ifindex, frame);
    let verdict = pipeline::finish(&mut host);
    (verdict, host.frame)
}

/// Length of the two addresses at the head of a frame.
const ADDRESSES: usize = 12;

fn ethertype_be(frame: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(frame.get(at..at + 2)?.try_into().ok()?))
}

/// Up to two VLAN tags, and the frame without them; None where it ends inside one or before.
fn untag(frame: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let mut tags = 0;
    while tags < 2
        && matches!(
            ethertype_be(frame, ADDRESSES + tags * VLAN_TAG_LEN)?,
            ETHERTYPE_VLAN_BE | ETHERTYPE_QINQ_BE
        )
    {
        tags += 1;
    }
    let end = ADDRESSES + tags * VLAN_TAG_LEN;
    (frame.len() >= end + ETHERNET_LEN - ADDRESSES)
        .then(|| (frame[ADDRESSES..end].to_vec(), [&frame[..ADDRESSES], &frame[end..]].concat()))
}
