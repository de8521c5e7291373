//! New flows: choose an endpoint, claim the reverse tuple, remember both halves.

use super::{Hook, Verdict, choose, drop, send, way, workspace};
use crate::{
    address::IpAddress as _,
    backend::BACKEND_LOCAL,
    drop_reason::DropReason,
    flow::FLOW_ENCAPSULATED,
    hash, limit,
    packet::Packet,
    service::{SERVICE_SILENT, SERVICE_SOURCE_RANGES},
    tcp,
    time::Tick,
    trace::Step,
    workspace::Workspace,
};

/// Opens a flow towards the service that [`run`](super::run) left in the workspace, and sends the packet; for IPv6 that is
/// left to [`launch`]. `tunnelled` as in [`Packet::tunnelled`]. Reads the packet anew.
///
/// No restore record is written yet: a flow has them from [`tcp::CONFIRMED`] on.
#[inline(always)]
pub fn open<H: Hook>(hook: &mut H, tunnelled: u32) -> Verdict {
    let Some(mut packet) = Packet::parse(hook) else {
        return Verdict::DROP;
    };
    let Some(workspace) = workspace(hook) else {
        return Verdict::DROP;
    };
    packet.blur(hook.zero());
    packet.tunnelled = tunnelled as u8;
    if let Err(verdict) = prepare(hook, &packet, workspace) {
        return verdict;
    }
    if H::Address::IS_V6 {
        return Verdict::CLAIM;
    }
    let claimed = hook.claim();
    if claimed != Verdict::CLAIM {
        return claimed;
    }
    send::send(hook, &packet, &workspace.flow)
}

/// Sends the packet whose flow was opened and claimed. Reads it anew.
#[inline(always)]
pub fn launch<H: Hook>(hook: &mut H) -> Verdict {
    let Some(mut packet) = Packet::parse(hook) else {
        return Verdict::DROP;
    };
    let Some(workspace) = workspace(hook) else {
        return Verdict::DROP;
    };
    packet.blur(hook.zero());
    send::send(hook, &packet, &workspace.flow)
}

/// Makes the flow; the verdict where there is none to open.
#[inline(always)]
fn prepare<H: Hook>(
    hook: &mut H,
    packet: &Packet<H::Address>,
    workspace: &mut Workspace<H::Address>,
) -> Result<(), Verdict> {
    let now = hook.now();
    let Workspace { own, flow, service, backend, .. } = workspace;
    *own = packet.key;
    if !is_admitted(hook, packet, now) {
        return Err(drop(hook, DropReason::NewFlowLimit));
    }
    if service.flags & SERVICE_SOURCE_RANGES != 0 {
        let admitted = hook.admits(service.id, packet.key.src_be);
        hook.step(Step::SourceRange, u32::from(admitted), 0, 0);
        if !admitted {
            return Err(drop(hook, DropReason::SourceNotAllowed));
        }
    }
    let hash = hash::flow(&packet.key);
    let Some(index) = choose::choose(hook, packet, service, backend, hash, now) else {
        let silent = packet.tunnelled != 0 || service.flags & SERVICE_SILENT != 0;
        return Err(if silent {
            drop(hook, DropReason::NoLocalEndpoint)
        } else {
            Verdict::reject(DropReason::NoEndpoint)
        });
    };
    if backend.flags & BACKEND_LOCAL == 0 && packet.ttl <= 1 {
        return Err(Verdict::reject(DropReason::TtlExpired));
    }
    flow.epoch = hook.epoch();
    (flow.last_seen, flow.opened) = (now, now);
    flow.backend = index;
    flow.generation = backend.generation;
    flow.service = service.id;
    (flow.state, flow._pad) = (0, 0);
    // Not translated unless `claim` says so: the workspace holds an earlier packet's flow.
    (flow.src_port_be, flow.dst_port_be, flow.l3_delta, flow.l4_delta) = (0, 0, 0, 0);
    if let Some(verdict) = way::find(hook, packet, service, backend, flow) {
        return Err(verdict);
    }
    if flow.flags & FLOW_ENCAPSULATED != 0 {
        // Replies leave from the endpoint's node: nothing here will ever see one.
        flow.state = tcp::REPLIED;
    } else if packet.protocol != tcp::UDP && !packet.opens() {
        // A connection that was opened elsewhere (another node failed, or both halves and their records are gone) has
        // been answered before.
        flow.state = tcp::REPLIED;
    }
    workspace.hash = hash;
    workspace.now = now;
    workspace.opens = u32::from(packet.opens());
    Ok(())
}

/// False where this CPU has opened as many flows as it may: in a flood the rest of its time belongs to those that exist.
#[inline(always)]
fn is_admitted<H: Hook>(hook: &H, packet: &Packet<H::Address>, now: Tick) -> bool {
    let per_tick = hook.new_flows_per_tick();
    let begins = packet.protocol == tcp::UDP || packet.opens();
    per_tick == 0 || hook.take_token(limit::new_flows(H::STAGE, begins), per_tick, now)
}
