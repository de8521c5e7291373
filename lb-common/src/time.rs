//! Time as the packet path keeps it: 32 bits, coarse, wrapping.

/// Ticks of 2^24 ns (about 16.8 ms) of `CLOCK_MONOTONIC_COARSE`. A tick wraps after 2.3 years; only differences mean
/// anything, see [`since`].
///
/// `bpf_ktime_get_coarse_ns` costs 2 ns a packet where `bpf_ktime_get_ns` costs 30, and unlike jiffies its unit does
/// not depend on the kernel's `CONFIG_HZ`.
pub type Tick = u32;

/// Nanoseconds in a tick.
pub const NANOS_PER_TICK: u64 = 1 << 24;

/// The tick that `nanos` of the monotonic clock fall in.
#[inline(always)]
pub const fn tick(nanos: u64) -> Tick {
    (nanos >> 24) as Tick
}

/// Ticks that cover at least `seconds`.
pub const fn seconds(seconds: u32) -> Tick {
    ((seconds as u64 * 1_000_000_000).div_ceil(NANOS_PER_TICK)) as Tick
}

/// Ticks from `then` to `now`; 0 where `then` lies in the future (another CPU's clock read is a tick ahead).
#[inline(always)]
pub const fn since(now: Tick, then: Tick) -> Tick {
    let age = now.wrapping_sub(then);
    if age > Tick::MAX / 2 { 0 } else { age }
}

/// Ticks as nanoseconds.
pub const fn nanos(ticks: Tick) -> u64 {
    ticks as u64 * NANOS_PER_TICK
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn age_survives_the_wrap() {
        assert_eq!(since(5, Tick::MAX - 4), 10);
    }

    #[test]
    fn a_stamp_from_the_future_has_no_age() {
        assert_eq!(since(100, 101), 0);
    }

    #[test]
    fn seconds_are_never_shorter_than_asked() {
        assert!(nanos(seconds(1)) >= 1_000_000_000);
        assert_eq!(seconds(0), 0);
    }
}
