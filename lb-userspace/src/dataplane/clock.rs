//! The kernel programs' clock.

use std::{fs, time::Duration};

use lb_common::time::{Tick, tick};
use nix::time::{ClockId, clock_gettime};

/// Now, as the packet path keeps it.
pub fn now() -> Tick {
    // Every kernel that Sluice runs on has this clock; its absence would only make ages wrong.
    let monotonic = clock_gettime(ClockId::CLOCK_MONOTONIC_COARSE).map(Duration::from).unwrap_or_default();
    let offset = fs::read_to_string("/proc/self/timens_offsets").ok().and_then(|text| offset(&text));
    let nanos = monotonic.as_nanos().cast_signed() - offset.unwrap_or_default();
    tick(u64::try_from(nanos).unwrap_or_default())
}

/// Nanoseconds by which a time namespace sets the monotonic clock forward (time_namespaces(7)). The kernel programs know
/// no namespaces.
fn offset(text: &str) -> Option<i128> {
    let mut words = text.lines().find_map(|line| line.strip_prefix("monotonic"))?.split_whitespace();
    let mut number = || words.next()?.parse::<i128>().ok();
    Some(number()? * 1_000_000_000 + number()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_offset_of_a_time_namespace_is_read() {
        let text = "monotonic           -86400         5\nboottime                 7         0\n";
        assert_eq!(offset(text), Some(-86_399_999_999_995));
        assert_eq!(offset(""), None);
    }
}
