//! What is noted of packets that were refused.

use super::{Hook, frontend, workspace};
use crate::{
    monitor::{Kind, What},
    packet::Packet,
};

/// Counts a packet that was refused for its service, if it was addressed to one, and tells a monitor. `refusal` is
/// [`Verdict::refusal`](super::Verdict::refusal), not 0.
///
/// Reads the packet anew, so it goes before the answer that takes its place. On the ways to a refusal the service is known
/// in some places only, and what lives across them costs packets that are not refused.
#[inline(always)]
pub fn refused<H: Hook>(hook: &mut H, refusal: u32) {
    let Some(mut packet) = Packet::parse(hook) else {
        return;
    };
    packet.blur(hook.zero());
    let Some(workspace) = workspace(hook) else {
        return;
    };
    workspace.own = packet.key;
    if frontend(hook, &packet, &mut workspace.service) {
        hook.count_service_drop(workspace.service.id);
    }
    hook.tell(What::new(Kind::Drop, refusal - 1), hook.ifindex());
}
