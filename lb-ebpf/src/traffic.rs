//! Traffic for benchmarks, made and counted in the kernel: no sender in user space keeps up with XDP.
//!
//! `traffic_send` runs on live frames through `test_run`: it overwrites each with the next of a list and redirects it.
//! `traffic_count` ends them at the far side, at XDP or (for skbs, which XDP on veth would copy) at tcx.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]

#[cfg(target_arch = "bpf")]
mod traffic {
    use aya_ebpf::{
        Global,
        bindings::{TC_ACT_SHOT, xdp_action},
        helpers::bpf_redirect,
        macros::{classifier, map, xdp},
        maps::{Array, PerCpuArray},
        programs::{TcContext, XdpContext},
    };

    /// 64-bit words of a frame.
    const WORDS: usize = 8;

    #[map(name = "frames")]
    static FRAMES: Array<[u64; WORDS]> = Array::with_max_entries(1, 0);

    /// Frames sent (0) and counted (1).
    #[map(name = "count")]
    static COUNT: PerCpuArray<u64> = PerCpuArray::with_max_entries(2, 0);

    /// Frames in the list.
    #[unsafe(no_mangle)]
    static LIST: Global<u32> = Global::new(1);

    /// Interface to send through.
    #[unsafe(no_mangle)]
    static OUT: Global<u32> = Global::new(0);

    #[panic_handler]
    fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
        loop {}
    }

    #[unsafe(link_section = "license")]
    #[unsafe(no_mangle)]
    static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

    /// Adds one to a counter and returns what it was.
    #[inline(always)]
    fn next(counter: u32) -> u64 {
        match COUNT.get_ptr_mut(counter) {
            // SAFETY: this CPU's counter.
            Some(count) => unsafe {
                *count += 1;
                *count - 1
            },
            None => 0,
        }
    }

    #[xdp]
    fn traffic_send(context: XdpContext) -> u32 {
        let frame = context.data();
        let number = next(0).checked_rem(u64::from(LIST.load())).unwrap_or(0) as u32;
        let Some(from) = FRAMES.get_ptr(number) else {
            return xdp_action::XDP_ABORTED;
        };
        if frame + WORDS * 8 > context.data_end() {
            return xdp_action::XDP_ABORTED;
        }
        let (from, to) = (from.cast::<u64>(), frame as *mut u64);
        for word in 0..WORDS {
            // SAFETY: both hold `WORDS` words, by the map's type and by the check above.
            unsafe { *to.add(word) = *from.add(word) };
        }
        // SAFETY: a helper without pointers.
        (unsafe { bpf_redirect(OUT.load(), 0) }) as u32
    }

    #[xdp]
    fn traffic_count(_context: XdpContext) -> u32 {
        next(1);
        xdp_action::XDP_DROP
    }

    #[classifier]
    fn traffic_count_skb(_context: TcContext) -> i32 {
        next(1);
        TC_ACT_SHOT
    }
}

/// On the host there is nothing to run.
#[cfg(not(target_arch = "bpf"))]
fn main() {}
