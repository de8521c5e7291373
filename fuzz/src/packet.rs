//! Any bytes as packets, through the pipeline on the host, on a node with every feature in use.
//!
//! An input is a sequence of packets: a control byte, the length of the frame, the frame.

mod node;
mod sums;

use lb_common::{
    address::{V4, V6},
    drop_reason::DropReason,
    flow::FlowKey,
    host::{
        Family, Outcome, Tables, tcx_egress, tcx_ingress,
        verdict::{TC_NEXT, TC_SHOT, XDP_DROP, XDP_PASS},
        xdp,
    },
    stat::Stat,
};

use self::{
    node::{IN, node},
    sums::find,
};

/// What control bytes say.
mod control {
    /// The program: 0 and 1 for XDP, 2 for tcx ingress, 3 for tcx egress.
    pub(super) const HOOK: u8 = 3;
    /// Checksums are made right.
    pub(super) const MEND: u8 = 4;
    /// Time passes.
    pub(super) const WAIT: u8 = 8;
    /// Instead of the frame, what came out of the packet before goes back.
    pub(super) const REPLY: u8 = 16;
    /// Zeros follow the frame.
    pub(super) const PAD: u8 = 32;
    /// The flow table loses halves.
    pub(super) const EVICT: u8 = 64;
    /// The agent raises the epoch.
    pub(super) const EPOCH: u8 = 128;
}

/// Ticks that pass at once: longer than a flow goes without being looked after, shorter than it lives.
const WAIT: u32 = 300;
/// Length of a frame with zeros after it: more than any route takes.
const PADDED: usize = 1600;
const ETHERNET: usize = 14;

/// Sends the packets, and looks at each afterwards.
pub fn run(mut bytes: &[u8]) {
    let mut node = node();
    let mut last = Vec::new();
    while let [control, length, rest @ ..] = bytes {
        let (frame, rest) = rest.split_at(rest.len().min(usize::from(*length)));
        bytes = rest;
        let mut frame = if control & control::REPLY == 0 { frame.to_vec() } else { turned_around(&last) };
        if control & control::PAD != 0 {
            pad(&mut frame);
        }
        if control & control::MEND != 0
            && let Some(sums) = find(&frame)
        {
            sums.mend(&mut frame);
        }
        if control & control::WAIT != 0 {
            node.now = node.now.wrapping_add(WAIT);
        }
        if control & control::EPOCH != 0 {
            node.epoch = node.epoch.wrapping_add(1);
        }
        if control & control::EVICT != 0 {
            evict::<V4>(&node);
            evict::<V6>(&node);
        }
        last = send(&node, control & control::HOOK, frame);
    }
    assert_halves_agree::<V4>(&node);
    assert_halves_agree::<V6>(&node);
}

/// Sends a frame through a program; what became of it.
fn send(node: &Tables, hook: u8, frame: Vec<u8>) -> Vec<u8> {
    let before = Counts::of(node);
    let Outcome { verdict, frame: after } = match hook {
        2 => tcx_ingress(node, IN, frame.clone()),
        3 => tcx_egress(node, IN, frame.clone()),
        _ => xdp(node, IN, frame.clone()),
    };
    let counts = Counts::of(node);
    let is_xdp = hook < 2;
    let is_dropped = verdict == if is_xdp { XDP_DROP } else { TC_SHOT };
    if is_dropped {
        let reasons = counts.drops - before.drops;
        // An echo beyond the rate limit has a counter of its own.
        let is_suppressed = reasons == 0 && counts.suppressed == before.suppressed + 1;
        assert!(reasons == 1 || is_suppressed, "dropped for {reasons} reasons: {frame:02x?}");
        return after;
    }
    let answers = counts.answers - before.answers;
    assert_eq!(
        counts.drops - before.drops,
        counts.refusals - before.refusals,
        "counted as dropped: {frame:02x?}"
    );
    let is_passed = verdict == if is_xdp { XDP_PASS } else { TC_NEXT };
    if is_passed && counts.handled == before.handled {
        assert_eq!(after, frame, "touched, and neither translated nor answered");
    }
    let Some(sums) = find(&frame) else {
        // No whole IP packet: nothing that could be answered or translated but by its head.
        return after;
    };
    let Some(new) = find(&after) else { panic!("no packet any more: {frame:02x?} became {after:02x?}") };
    assert!(!sums.are_right(&frame) || new.are_right(&after), "wrong now: {frame:02x?} became {after:02x?}");
    assert!(answers > 0 || new.ttl <= sums.ttl, "the TTL rose: {frame:02x?} became {after:02x?}");
    // The stack would hold the answer to such a packet for its own.
    assert!(
        !is_xdp || !is_passed || new.source == sums.source,
        "XDP hands the stack another source: {frame:02x?}"
    );
    after
}

/// What the node has counted.
struct Counts {
    drops: u64,
    /// Refused with an answer: both a drop and a packet.
    refusals: u64,
    /// Answers that the rate limit held back.
    suppressed: u64,
    /// Packets of Sluice's own.
    answers: u64,
    /// Packets of Services, and all others that may be changed.
    handled: u64,
}

impl Counts {
    fn of(node: &Tables) -> Self {
        let refusals = node.events(Stat::Answered);
        let answers = refusals + node.events(Stat::EchoAnswered);
        let stats = node.service_stats.borrow();
        let translated: u64 = stats.values().map(|stats| stats.packets + stats.reply_packets).sum();
        Self {
            drops: DropReason::ALL.into_iter().map(|reason| node.drops(reason)).sum(),
            refusals,
            suppressed: node.events(Stat::AnswerSuppressed),
            answers,
            handled: answers
                + translated
                + node.events(Stat::ErrorTranslated)
                + node.events(Stat::Decapsulated),
        }
    }
}

/// A frame with source and destination exchanged, as a station answers.
fn turned_around(frame: &[u8]) -> Vec<u8> {
    let mut frame = frame.to_vec();
    let swaps = match frame.get(12..15) {
        Some([0x08, 0x00, first]) => {
            let l4 = ETHERNET + usize::from(first & 0xf) * 4;
            [(ETHERNET + 12, 4), (l4, 2)]
        }
        Some([0x86, 0xdd, _]) => [(ETHERNET + 8, 16), (ETHERNET + 40, 2)],
        _ => return frame,
    };
    for (at, length) in swaps {
        if let Some(pair) = frame.get_mut(at..at + length * 2) {
            pair.rotate_left(length);
        }
    }
    frame
}

/// Puts zeros behind a frame, and has its packet reach to the end of them.
fn pad(frame: &mut Vec<u8>) {
    if frame.len() <= ETHERNET + 40 {
        return;
    }
    frame.resize(PADDED, 0);
    let (at, length) = match frame[12] {
        0x08 => (ETHERNET + 2, PADDED - ETHERNET),
        _ => (ETHERNET + 4, PADDED - ETHERNET - 40),
    };
    frame[at..at + 2].copy_from_slice(&(length as u16).to_be_bytes());
}

/// Takes every other half away.
fn evict<A: Family>(node: &Tables) {
    let mut is_kept = false;
    A::of(node).flows.borrow_mut().retain(|_, _| {
        is_kept = !is_kept;
        is_kept
    });
}

/// Two halves that name each other say the same of the flow.
fn assert_halves_agree<A: Family>(node: &Tables) {
    let flows = A::of(node).flows.borrow();
    for (key, flow) in flows.iter() {
        let other_key: FlowKey<A> = flow.other_key(key);
        if let Some(other) = flows.get(&other_key)
            && other.other_key(&other_key) == *key
        {
            assert!(other.is_other_of(flow, key), "{key:?} {flow:?} and {other_key:?} {other:?}");
        }
    }
}
