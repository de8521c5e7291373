//! The source port of a translated flow: claimed by inserting the reverse half, which nobody else can then have.

use super::{Hook, InsertError, Verdict, drop, workspace};
use crate::{
    address::IpAddress as _,
    checksum,
    drop_reason::DropReason,
    flow::{FLOW_ENCAPSULATED, FLOW_LOCAL, Flow, FlowKey},
    hash,
    monitor::{Kind, What},
    snat,
    stat::Stat,
    time::Tick,
    trace::Step,
    workspace::Workspace,
};

/// Claims a reverse tuple for the flow in the workspace, whose way is known, and adds both halves to the table; only one
/// for a flow that is encapsulated. Still [`Action::Claim`](super::Action::Claim), or a drop where that cannot be.
#[inline(always)]
pub fn claim<H: Hook>(hook: &H) -> Verdict {
    let Some(workspace) = workspace(hook) else {
        return Verdict::DROP;
    };
    let encapsulated = workspace.flow.flags & FLOW_ENCAPSULATED != 0;
    if !encapsulated && let Some(reason) = claim_reverse(hook, workspace) {
        return drop(hook, reason);
    }
    let Workspace { own, flow, key, .. } = workspace;
    if hook.insert(own, flow).is_err() {
        if !encapsulated {
            hook.remove(key);
        }
        return drop(hook, DropReason::FlowTableFull);
    }
    hook.count_flow(flow.service);
    hook.tell(What::new(Kind::Open, 0), 0);
    Verdict::CLAIM
}

/// Adds the reverse half, and makes the flow the forward half that belongs to it. The reason where no tuple is free.
///
/// A local flow keeps the client's port unless another VIP leads the same client port to the same endpoint.
#[inline(always)]
fn claim_reverse<H: Hook>(hook: &H, workspace: &mut Workspace<H::Address>) -> Option<DropReason> {
    let Workspace { own, flow, other: reverse, holder, key, backend, hash, now, opens, .. } = workspace;
    let (hash, now, opens) = (*hash, *now, *opens != 0);
    let (min, max) = hook.snat_ports();
    let keeps_port = flow.flags & FLOW_LOCAL != 0;
    *key = FlowKey {
        src_be: H::Address::from_address(backend.address),
        dst_be: flow.src_be,
        src_port_be: backend.port_be,
        dst_port_be: own.src_port_be,
        protocol: own.protocol,
    };
    flow.translate(own, &key.reversed());
    flow.write_other(own, reverse);
    for attempt in 0..=snat::PROBES {
        let own_port = keeps_port && attempt == 0;
        if !own_port {
            let port_be = snat::candidate(hash, attempt, min, max).to_be();
            let change = checksum::delta16(port_be, key.dst_port_be);
            reverse.l4_delta = checksum::combine(reverse.l4_delta, change);
            key.dst_port_be = port_be;
        }
        if hook.is_taken() {
            hook.count(Stat::PortProbes);
            continue;
        }
        match try_claim(hook, opens, key, reverse, holder, now, attempt > snat::PROBES / 2) {
            Claim::Won => {
                let port = u32::from(u16::from_be(key.dst_port_be));
                hook.step(Step::SourcePort, port, attempt, u32::from(own_port));
                if !own_port {
                    hook.count(if keeps_port { Stat::SourcePortCollision } else { Stat::PortClaimed });
                    let change = checksum::delta16(flow.src_port_be, key.dst_port_be);
                    flow.l4_delta = checksum::combine(flow.l4_delta, change);
                    flow.src_port_be = key.dst_port_be;
                }
                return None;
            }
            Claim::Taken => hook.count(Stat::PortProbes),
            Claim::Full => return Some(DropReason::FlowTableFull),
        }
    }
    Some(DropReason::SnatPortsExhausted)
}

/// True where the reverse tuple in the workspace belongs to a living flow although the table lost its half: the endpoint
/// goes on sending to it, and the half will be restored.
#[inline(always)]
pub fn is_taken<H: Hook>(hook: &H) -> bool {
    let Some(Workspace { own, key, now, .. }) = workspace(hook) else {
        return true;
    };
    hook.is_recorded_as_taken(hash::flow(key), key, own, *now)
}

enum Claim {
    Won,
    Taken,
    Full,
}

#[inline(always)]
fn try_claim<H: Hook>(
    hook: &H,
    opens: bool,
    key: &FlowKey<H::Address>,
    reverse: &mut Flow<H::Address>,
    holder: &mut Flow<H::Address>,
    now: Tick,
    scarce: bool,
) -> Claim {
    match hook.insert_new(key, reverse) {
        Ok(()) => return Claim::Won,
        Err(InsertError::Full) => return Claim::Full,
        Err(InsertError::Exists) => {}
    }
    let Some(half) = hook.flow(key) else {
        return Claim::Taken;
    };
    hook.read_into(half, holder);
    let protocol = key.protocol;
    if holder.translated(protocol).difference(&reverse.translated(protocol)) == 0 {
        // The half that outlived its partner, or a client's earlier connection from the same port.
        let opening = reverse.state;
        if !opens {
            reverse.state = holder.state;
        }
        hook.write(half, reverse);
        reverse.state = opening;
        return Claim::Won;
    }
    let free = holder.is_over(protocol as u8, now) || scarce && holder.gives_way(now);
    if !free {
        return Claim::Taken;
    }
    // Removing first leaves a single winner where two CPUs steal at once.
    if hook.remove(key) && hook.insert_new(key, reverse).is_ok() {
        hook.count(Stat::PortStolen);
        return Claim::Won;
    }
    Claim::Taken
}
