//! The programs by the names of `lb_common::abi::program`, and what each verdict is called at its hook.

use aya_ebpf::{
    bindings::{__sk_buff, TC_ACT_SHOT, TC_ACT_UNSPEC, xdp_action, xdp_md},
    helpers::{bpf_redirect, bpf_redirect_neigh},
    macros::{classifier, xdp},
    programs::{TcContext, XdpContext},
};
use lb_common::{
    packet::{ETHERNET_LEN, ETHERTYPE_IPV4_BE, ETHERTYPE_IPV6_BE},
    pipeline::{Action, Verdict},
};

use crate::{
    buffer::Buffer as _,
    maps,
    parts::{egress, ingress, ingress_l3, xdp},
    skb::{HEADERS, Skb},
    vlan::Tags,
    xdp::Frame,
};

/// `skb->pkt_type` of frames for another station (`include/uapi/linux/if_packet.h`).
const PACKET_OTHERHOST: u32 = 3;

#[xdp(frags)]
fn sluice_xdp(context: XdpContext) -> u32 {
    let ctx = context.ctx;
    let mut frame = Frame { context };
    let Some(tags) = frame.untag() else {
        return xdp_action::XDP_PASS;
    };
    let ethertype_be = match frame.bytes(0, ETHERNET_LEN) {
        Some(header) => header.u16(12),
        None => return xdp_action::XDP_PASS,
    };
    let verdict = match ethertype_be {
        ETHERTYPE_IPV4_BE => xdp::ipv4(ctx),
        ETHERTYPE_IPV6_BE => xdp::ipv6(ctx),
        _ => Verdict::PASS,
    };
    if tags.outer[0] != 0 || verdict.action() == Action::ForwardTagged {
        return leave_tagged(ctx, tags.to_bits(), verdict);
    }
    match verdict.action() {
        Action::Pass => xdp_action::XDP_PASS,
        Action::Answer => xdp_action::XDP_TX,
        Action::Forward => redirect(frame.ifindex(), verdict.number()),
        _ => xdp_action::XDP_DROP,
    }
}

/// A frame that came in with tags, or leaves with some.
#[inline(never)]
fn leave_tagged(ctx: *mut xdp_md, tags: u64, verdict: Verdict) -> u32 {
    let tags = Tags::from_bits(tags);
    let mut frame = Frame { context: XdpContext::new(ctx) };
    let (leaves_by, tags) = match verdict.action() {
        Action::Pass | Action::Answer => (0, tags),
        Action::Forward => (verdict.number(), Tags::NONE),
        Action::ForwardTagged => {
            // SAFETY: the map returned the reference; copied out at once.
            let Some(device) = (unsafe { maps::INTERFACES.get(verdict.number()).copied() }) else {
                return xdp_action::XDP_DROP;
            };
            let [outer, inner] = device.tags.map(|tag| [tag.protocol_be, tag.id_be]);
            (device.parent, Tags { outer, inner })
        }
        _ => return xdp_action::XDP_DROP,
    };
    if frame.tag(&tags).is_none() {
        return xdp_action::XDP_DROP;
    }
    match verdict.action() {
        Action::Pass => xdp_action::XDP_PASS,
        Action::Answer => xdp_action::XDP_TX,
        _ => redirect(frame.ifindex(), leaves_by),
    }
}

#[inline(always)]
fn redirect(ingress: u32, ifindex: u32) -> u32 {
    if ifindex == ingress {
        return xdp_action::XDP_TX;
    }
    // SAFETY: a helper without pointers.
    (unsafe { bpf_redirect(ifindex, 0) }) as u32
}

#[xdp(frags)]
fn sluice_pass(_context: XdpContext) -> u32 {
    xdp_action::XDP_PASS
}

#[classifier]
fn sluice_in(context: TcContext) -> i32 {
    tcx::<false>(context, ingress::ipv4, ingress::ipv6)
}

#[classifier]
fn sluice_in_l3(context: TcContext) -> i32 {
    tcx::<false>(context, ingress_l3::ipv4, ingress_l3::ipv6)
}

#[classifier]
fn sluice_out(context: TcContext) -> i32 {
    tcx::<true>(context, egress::ipv4, egress::ipv6)
}

/// Runs the pipeline on an skb. Packets that pass go on to whatever other programs are attached (`TCX_NEXT`).
#[inline(always)]
fn tcx<const EGRESS: bool>(
    context: TcContext,
    ipv4: impl Fn(*mut __sk_buff) -> Verdict,
    ipv6: impl Fn(*mut __sk_buff) -> Verdict,
) -> i32 {
    let ctx: *mut __sk_buff = context.skb.skb;
    // SAFETY: the context's pointer is valid for the run of the program.
    let (ifindex, packet_type, protocol_be) =
        unsafe { ((*ctx).ifindex, (*ctx).pkt_type, (*ctx).protocol as u16) };
    if !EGRESS && packet_type == PACKET_OTHERHOST {
        return TC_ACT_UNSPEC;
    }
    Skb::<EGRESS, 0> { context }.pull(HEADERS);
    let verdict = match protocol_be {
        ETHERTYPE_IPV4_BE => ipv4(ctx),
        ETHERTYPE_IPV6_BE => ipv6(ctx),
        _ => Verdict::PASS,
    };
    match verdict.action() {
        Action::Pass => TC_ACT_UNSPEC,
        // SAFETY: a helper without pointers.
        Action::Answer => (unsafe { bpf_redirect(ifindex, 0) }) as i32,
        // SAFETY: a null next hop of length 0 asks the kernel to look it up.
        Action::Forward | Action::ForwardTagged => {
            (unsafe { bpf_redirect_neigh(verdict.number(), core::ptr::null_mut(), 0, 0) }) as i32
        }
        _ => TC_ACT_SHOT,
    }
}
