//! What a monitor is told of packets that were refused.

use super::{Hook, workspace};
use crate::{
    monitor::{Kind, What},
    packet::Packet,
};

/// Tells a monitor that a packet was refused; `refusal` is [`Verdict::refusal`](super::Verdict::refusal), not 0. Reads the
/// packet anew, so it goes before the answer that takes its place.
#[inline(always)]
pub fn tell_refusal<H: Hook>(hook: &mut H, refusal: u32) {
    let Some(mut packet) = Packet::parse(hook) else {
        return;
    };
    packet.blur(hook.zero());
    let Some(workspace) = workspace(hook) else {
        return;
    };
    workspace.own = packet.key;
    hook.tell(What::new(Kind::Drop, refusal - 1), hook.ifindex());
}
