//! The programs by the names of `lb_common::abi::program`, and what each verdict is called at its hook.

use aya_ebpf::{
    bindings::{TC_ACT_SHOT, TC_ACT_UNSPEC, xdp_action},
    helpers::{bpf_redirect, bpf_redirect_neigh},
    macros::{classifier, xdp},
    programs::{TcContext, XdpContext},
};
use lb_common::{
    address::V4,
    packet::ETHERNET_LEN,
    pipeline::{Action, run},
};

use crate::{kernel::Kernel, skb::Skb, xdp::Frame};

/// `skb->pkt_type` of frames for another station (`include/uapi/linux/if_packet.h`).
const PACKET_OTHERHOST: u32 = 3;

#[xdp(frags)]
fn sluice_xdp(context: XdpContext) -> u32 {
    let ingress = context.ingress_ifindex() as u32;
    let verdict = run(&mut Kernel::<_, V4>::new(Frame { context }));
    match verdict.action() {
        Action::Pass => xdp_action::XDP_PASS,
        Action::Drop | Action::Reject => xdp_action::XDP_DROP,
        Action::Answer => xdp_action::XDP_TX,
        Action::Forward if verdict.number() == ingress => xdp_action::XDP_TX,
        // SAFETY: a helper without pointers.
        Action::Forward => (unsafe { bpf_redirect(verdict.number(), 0) }) as u32,
    }
}

#[xdp(frags)]
fn sluice_pass(_context: XdpContext) -> u32 {
    xdp_action::XDP_PASS
}

#[classifier]
fn sluice_in(context: TcContext) -> i32 {
    tcx::<false, ETHERNET_LEN>(context)
}

#[classifier]
fn sluice_in_l3(context: TcContext) -> i32 {
    tcx::<false, 0>(context)
}

#[classifier]
fn sluice_out(context: TcContext) -> i32 {
    tcx::<true, ETHERNET_LEN>(context)
}

/// Runs the pipeline on an skb. Packets that pass go on to whatever other programs are attached (`TCX_NEXT`).
#[inline(always)]
fn tcx<const EGRESS: bool, const L3: usize>(context: TcContext) -> i32 {
    // SAFETY: the context's pointer is valid for the run of the program.
    let (ifindex, packet_type) = unsafe { ((*context.skb.skb).ifindex, (*context.skb.skb).pkt_type) };
    if !EGRESS && packet_type == PACKET_OTHERHOST {
        return TC_ACT_UNSPEC;
    }
    let mut hook = Kernel::<_, V4>::new(Skb::<EGRESS, L3> { context });
    hook.buffer.pull_headers();
    let verdict = run(&mut hook);
    match verdict.action() {
        Action::Pass => TC_ACT_UNSPEC,
        Action::Drop | Action::Reject => TC_ACT_SHOT,
        // SAFETY: a helper without pointers.
        Action::Answer => (unsafe { bpf_redirect(ifindex, 0) }) as i32,
        // SAFETY: a null next hop of length 0 asks the kernel to look it up.
        Action::Forward => {
            (unsafe { bpf_redirect_neigh(verdict.number(), core::ptr::null_mut(), 0, 0) }) as i32
        }
    }
}
