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

/// How far ahead a stamp may be: another CPU's clock reads a tick more, and who walks a table reads the time before it. Far
/// less than half of all ticks, or what is 417 days old would be taken for new: a map's zeros on a machine that is.
const AHEAD: Tick = seconds(60);

/// Ticks from `then` to `now`; 0 where `then` lies ahead by a minute at most.
#[inline(always)]
pub const fn since(now: Tick, then: Tick) -> Tick {
    let age = now.wrapping_sub(then);
    if age.wrapping_add(AHEAD) < AHEAD { 0 } else { age }
}

/// True where `a` was before `b`, neither ahead of `now` by more than a minute.
#[inline(always)]
pub const fn is_before(a: Tick, b: Tick, now: Tick) -> bool {
    let limit = now.wrapping_add(AHEAD);
    limit.wrapping_sub(a) > limit.wrapping_sub(b)
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
    fn the_order_of_stamps_survives_the_wrap_and_clocks_that_are_ahead() {
        assert!(is_before(Tick::MAX - 4, 3, 5));
        assert!(is_before(100, 101, 100) && !is_before(101, 100, 100));
        assert!(is_before(0, seconds(500 * 86_400), seconds(500 * 86_400)));
        assert!(!is_before(7, 7, 7));
    }

    #[test]
    fn what_is_older_than_a_year_is_old() {
        const DAY: Tick = seconds(86_400);
        for days in [100, 417, 418, 800] {
            assert_eq!(since(days * DAY, 0), days * DAY);
        }
    }

    #[test]
    fn seconds_are_never_shorter_than_asked() {
        assert!(nanos(seconds(1)) >= 1_000_000_000);
        assert_eq!(seconds(0), 0);
    }
}
