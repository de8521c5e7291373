//! The pipeline in functions of their own, one behind the other.
//!
//! They are global functions: the verifier checks each once, for whatever arguments, and not once for every state that
//! its caller may be in. And a BPF call chain has 512 bytes of stack, which one family's part of the pipeline nearly
//! fills.

use aya_ebpf::programs::XdpContext;
use lb_common::{
    address::{V4, V6},
    monitor::What,
};

use crate::{family::Family, kernel::Kernel, xdp::Frame};

/// See [`lb_common::sctp::checksum_change`]: a thousand instructions that are the same wherever they are needed.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn sctp_checksum_change(difference: u32, len: u32) -> u32 {
    lb_common::sctp::checksum_change(difference, len)
}

/// What needs no packet, for one family.
macro_rules! tables {
    ($family:ty, $is_taken:ident, $claim:ident, $keep_records:ident, $tell:ident) => {
        /// 1 where the tuple is taken.
        #[unsafe(no_mangle)]
        #[inline(never)]
        pub(crate) extern "C" fn $is_taken() -> u32 {
            u32::from(lb_common::pipeline::is_taken(&without_packet::<$family>()))
        }

        #[unsafe(no_mangle)]
        #[inline(never)]
        pub(crate) extern "C" fn $claim() -> u64 {
            lb_common::pipeline::claim(&without_packet::<$family>()).to_bits()
        }

        #[unsafe(no_mangle)]
        #[inline(never)]
        pub(crate) extern "C" fn $tell(what: u32, ifindex: u32) -> u32 {
            crate::monitor::tell::<$family>(What(what), ifindex);
            0
        }

        #[unsafe(no_mangle)]
        #[inline(never)]
        pub(crate) extern "C" fn $keep_records(now: u32) -> u32 {
            lb_common::pipeline::keep_records(&without_packet::<$family>(), now);
            0
        }
    };
}

/// A hook for the maps only: its packet is never looked at.
#[inline(always)]
fn without_packet<A: Family>() -> Kernel<Frame, A> {
    Kernel::new(Frame { context: XdpContext::new(core::ptr::null_mut()) })
}

tables!(V4, is_taken_ipv4, claim_ipv4, keep_records_ipv4, tell_ipv4);
tables!(V6, is_taken_ipv6, claim_ipv6, keep_records_ipv6, tell_ipv6);

/// The three parts of one program for one family, and the way through them.
macro_rules! parts {
    ($context:ty, $family:ident, $hook:expr, $run:ident, $open:ident, $launch:ident, $other:ident, $answer:ident, $refused:ident, $whole:ident) => {
        #[unsafe(no_mangle)]
        #[inline(never)]
        extern "C" fn $run(ctx: *mut $context) -> u64 {
            lb_common::pipeline::run(&mut $hook(ctx)).to_bits()
        }

        #[unsafe(no_mangle)]
        #[inline(never)]
        extern "C" fn $open(ctx: *mut $context, tunnelled: u32) -> u64 {
            lb_common::pipeline::open(&mut $hook(ctx), tunnelled).to_bits()
        }

        #[unsafe(no_mangle)]
        #[inline(never)]
        extern "C" fn $launch(ctx: *mut $context) -> u64 {
            lb_common::pipeline::launch(&mut $hook(ctx)).to_bits()
        }

        #[unsafe(no_mangle)]
        #[inline(never)]
        extern "C" fn $other(ctx: *mut $context) -> u64 {
            lb_common::pipeline::other(&mut $hook(ctx)).to_bits()
        }

        #[unsafe(no_mangle)]
        #[inline(never)]
        extern "C" fn $answer(ctx: *mut $context, number: u32) -> u64 {
            lb_common::pipeline::answer(&mut $hook(ctx), number).to_bits()
        }

        #[unsafe(no_mangle)]
        #[inline(never)]
        extern "C" fn $refused(ctx: *mut $context, refusal: u32) -> u32 {
            lb_common::pipeline::refused(&mut $hook(ctx), refusal);
            0
        }

        /// All parts, as far as the packet needs them.
        #[inline(always)]
        pub(crate) fn $whole(ctx: *mut $context) -> Verdict {
            let mut verdict = Verdict::from_bits($run(ctx));
            match verdict.action() {
                Action::Open => verdict = Verdict::from_bits($open(ctx, verdict.number())),
                Action::Other => verdict = Verdict::from_bits($other(ctx)),
                _ => {}
            }
            if verdict.action() == Action::Claim {
                verdict = $family::claim();
                if verdict.action() == Action::Claim {
                    verdict = Verdict::from_bits($launch(ctx));
                }
            }
            if verdict.refusal() != 0 {
                $refused(ctx, verdict.refusal());
            }
            if verdict.action() == Action::Reject {
                verdict = Verdict::from_bits($answer(ctx, verdict.number()));
            }
            verdict
        }
    };
}

/// XDP.
pub(crate) mod xdp {
    use aya_ebpf::{bindings::xdp_md, programs::XdpContext};
    use lb_common::{
        address::{V4, V6},
        pipeline::{Action, Verdict},
    };

    use crate::{family::Family, kernel::Kernel, xdp::Frame};

    #[inline(always)]
    fn hook<A: Family>(ctx: *mut xdp_md) -> Kernel<Frame, A> {
        Kernel::new(Frame { context: XdpContext::new(ctx) })
    }

    parts!(
        xdp_md,
        V4,
        hook::<V4>,
        xdp_run_ipv4,
        xdp_open_ipv4,
        xdp_launch_ipv4,
        xdp_other_ipv4,
        xdp_answer_ipv4,
        xdp_refused_ipv4,
        ipv4
    );
    parts!(
        xdp_md,
        V6,
        hook::<V6>,
        xdp_run_ipv6,
        xdp_open_ipv6,
        xdp_launch_ipv6,
        xdp_other_ipv6,
        xdp_answer_ipv6,
        xdp_refused_ipv6,
        ipv6
    );
}

/// The parts of a tcx program.
macro_rules! tcx {
    ($module:ident, $egress:literal, $l3:expr, $($name:ident)+) => {
        /// tcx.
        pub(crate) mod $module {
            use aya_ebpf::{bindings::__sk_buff, programs::TcContext};
            use lb_common::{
                address::{V4, V6},
                pipeline::{Action, Verdict},
            };

            use crate::{family::Family, kernel::Kernel, skb::Skb};

            #[inline(always)]
            fn hook<A: Family>(ctx: *mut __sk_buff) -> Kernel<Skb<$egress, { $l3 }>, A> {
                Kernel::new(Skb { context: TcContext::new(ctx) })
            }

            tcx!(@families $($name)+);
        }
    };
    (@families $run4:ident $open4:ident $launch4:ident $other4:ident $answer4:ident $refused4:ident $run6:ident $open6:ident $launch6:ident $other6:ident $answer6:ident $refused6:ident) => {
        parts!(__sk_buff, V4, hook::<V4>, $run4, $open4, $launch4, $other4, $answer4, $refused4, ipv4);
        parts!(__sk_buff, V6, hook::<V6>, $run6, $open6, $launch6, $other6, $answer6, $refused6, ipv6);
    };
}

tcx!(ingress, false, lb_common::packet::ETHERNET_LEN,
    in_run_ipv4 in_open_ipv4 in_launch_ipv4 in_other_ipv4 in_answer_ipv4 in_refused_ipv4 in_run_ipv6 in_open_ipv6 in_launch_ipv6 in_other_ipv6 in_answer_ipv6 in_refused_ipv6);
tcx!(ingress_l3, false, 0,
    l3_run_ipv4 l3_open_ipv4 l3_launch_ipv4 l3_other_ipv4 l3_answer_ipv4 l3_refused_ipv4 l3_run_ipv6 l3_open_ipv6 l3_launch_ipv6 l3_other_ipv6 l3_answer_ipv6 l3_refused_ipv6);
tcx!(egress, true, lb_common::packet::ETHERNET_LEN,
    out_run_ipv4 out_open_ipv4 out_launch_ipv4 out_other_ipv4 out_answer_ipv4 out_refused_ipv4 out_run_ipv6 out_open_ipv6 out_launch_ipv6 out_other_ipv6 out_answer_ipv6 out_refused_ipv6);
