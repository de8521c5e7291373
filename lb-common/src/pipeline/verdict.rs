//! What becomes of a packet.

use crate::drop_reason::DropReason;

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Action {
    /// To the node's stack, or on its way out of it.
    Pass,
    /// Dropped, and counted for the [`DropReason`] one below [`Verdict::number`], unless that is 0.
    Drop,
    /// Out through [`Verdict::number`].
    Forward,
    /// Turned into an answer; back out of the interface it came in by.
    Answer,
    /// Out through the VLAN device [`Verdict::number`]: with its tags, through its parent.
    ForwardTagged,
    /// Not decided: the packet has no ports. Only from [`run`](super::run).
    Other,
    /// A new flow is to be opened, for a packet that came encapsulated if [`Verdict::number`] is 1. Only from
    /// [`run`](super::run).
    Open,
    /// The new flow is to be claimed and the packet sent. Only from [`open`](super::open), and from
    /// [`claim`](super::claim()) where it is claimed.
    Claim,
    /// Refused for the [`DropReason`] in the low byte of [`Verdict::number`], and its sender told so where the protocol
    /// has a way to; the MTU for one that is too big is above.
    /// Not from [`answer`](super::answer).
    Reject,
}

/// An action and its number (interface or reason), in one word.
///
/// Not an enum with fields: LLVM copies the undefined fields of other variants along, and the verifier refuses to read
/// a register that was never written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict(u64);

impl Verdict {
    /// To the stack.
    pub const PASS: Self = Self::new(Action::Pass, 0);
    /// Dropped, for no reason that is counted.
    pub const DROP: Self = Self::new(Action::Drop, 0);
    /// Answered.
    pub const ANSWER: Self = Self::new(Action::Answer, 0);

    /// A new flow is to be opened.
    #[inline(always)]
    pub(super) const fn open(tunnelled: u8) -> Self {
        Self::new(Action::Open, tunnelled as u32)
    }

    /// A new flow is to be claimed.
    pub(super) const CLAIM: Self = Self::new(Action::Claim, 0);

    /// Has no ports.
    pub(super) const OTHER: Self = Self::new(Action::Other, 0);

    #[inline(always)]
    const fn new(action: Action, number: u32) -> Self {
        Self((number as u64) << 8 | action as u64)
    }

    /// Out through an interface.
    #[inline(always)]
    pub const fn forward(ifindex: u32) -> Self {
        Self::new(Action::Forward, ifindex)
    }

    /// Out through a VLAN device.
    #[inline(always)]
    pub const fn forward_tagged(ifindex: u32) -> Self {
        Self::new(Action::ForwardTagged, ifindex)
    }

    /// Dropped for a reason.
    #[inline(always)]
    pub(super) const fn dropped(reason: DropReason) -> Self {
        Self::new(Action::Drop, reason as u32 + 1)
    }

    /// Refused.
    #[inline(always)]
    pub(super) const fn reject(reason: DropReason) -> Self {
        Self::new(Action::Reject, reason as u32)
    }

    /// Refused as longer than `mtu`.
    #[inline(always)]
    pub(super) const fn too_big(mtu: u16) -> Self {
        Self::new(Action::Reject, DropReason::PacketTooBig as u32 | (mtu as u32) << 8)
    }

    /// As one word, to hand from function to function.
    #[inline(always)]
    pub const fn to_bits(self) -> u64 {
        self.0
    }

    /// Back from that word.
    #[inline(always)]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The action.
    #[inline(always)]
    pub const fn action(self) -> Action {
        match self.0 as u8 {
            1 => Action::Drop,
            2 => Action::Forward,
            3 => Action::Answer,
            4 => Action::ForwardTagged,
            5 => Action::Other,
            6 => Action::Open,
            7 => Action::Claim,
            8 => Action::Reject,
            _ => Action::Pass,
        }
    }

    /// One more than the number of the [`DropReason`] for which the packet was dropped or refused; 0 where it was not.
    #[inline(always)]
    pub const fn refusal(self) -> u32 {
        match self.action() {
            Action::Drop => self.number(),
            Action::Reject => (self.number() & 0xff) + 1,
            _ => 0,
        }
    }

    /// Interface of [`Action::Forward`], reason of [`Action::Reject`].
    #[inline(always)]
    pub const fn number(self) -> u32 {
        (self.0 >> 8) as u32
    }
}
