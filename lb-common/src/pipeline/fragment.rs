//! Fragments: the first of a datagram tells the ports, the others follow it.

use super::{Hook, Stage, Verdict, drop, is_vip};
use crate::{
    address::IpAddress as _,
    drop_reason::DropReason,
    fragment::{FragmentKey, FragmentPorts, LIFETIME},
    packet::Packet,
    stat::Stat,
    time::since,
    trace::Step,
};

fn key<H: Hook>(packet: &Packet<H::Address>) -> FragmentKey {
    FragmentKey {
        src: packet.key.src_be.address(),
        dst: packet.key.dst_be.address(),
        id_be: packet.fragment_id_be,
        protocol: u32::from(packet.protocol),
    }
}

/// Remembers the ports of a first fragment.
#[inline(always)]
pub(super) fn keep_ports<H: Hook>(hook: &H, packet: &Packet<H::Address>) {
    let ports = FragmentPorts {
        src_port_be: packet.key.src_port_be,
        dst_port_be: packet.key.dst_port_be,
        seen: hook.now(),
    };
    hook.keep_fragment(&key::<H>(packet), ports);
}

/// Gives a later fragment the ports of its datagram; a verdict where they are not known.
///
/// XDP passes such a fragment on: the first one may still be on its way to tcx, which remembers it.
#[inline(always)]
pub(super) fn find_ports<H: Hook>(hook: &H, packet: &mut Packet<H::Address>) -> Option<Verdict> {
    match hook.fragment(&key::<H>(packet)) {
        Some(found) if since(hook.now(), found.seen) <= LIFETIME => {
            packet.key.src_port_be = found.src_port_be;
            packet.key.dst_port_be = found.dst_port_be;
            packet.key.protocol = u32::from(packet.protocol);
            hook.count(Stat::FragmentFollowed);
            let ports =
                u32::from(u16::from_be(found.src_port_be)) << 16 | u32::from(u16::from_be(found.dst_port_be));
            hook.step(Step::FragmentFollowed, ports, 0, 0);
            None
        }
        _ => {
            hook.step(Step::FragmentUnmatched, 0, 0, 0);
            if H::STAGE == Stage::TcxIngress && is_vip(hook, packet.key.dst_be) {
                return Some(drop(hook, DropReason::FragmentUnmatched));
            }
            Some(Verdict::PASS)
        }
    }
}
