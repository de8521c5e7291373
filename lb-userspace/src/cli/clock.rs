//! Ticks as ages and as times of day.

use std::{
    fs,
    time::{Duration, SystemTime},
};

use k8s_openapi::jiff::Timestamp;
use lb_common::time::{self, Tick};
use nix::time::{ClockId, clock_gettime};

/// One moment on the kernel's clock and on the wall's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    /// The moment as the packet path keeps it.
    pub(crate) now: Tick,
    /// The same moment, as a time of day.
    pub(crate) wall: SystemTime,
}

impl Clock {
    /// Now.
    pub(crate) fn read() -> Self {
        // Every kernel that Sluice runs on has this clock; its absence would only make ages wrong.
        let monotonic =
            clock_gettime(ClockId::CLOCK_MONOTONIC_COARSE).map(Duration::from).unwrap_or_default();
        let offset = fs::read_to_string("/proc/self/timens_offsets").ok().and_then(|text| offset(&text));
        let nanos = monotonic.as_nanos().cast_signed() - offset.unwrap_or_default();
        Self { now: time::tick(u64::try_from(nanos).unwrap_or_default()), wall: SystemTime::now() }
    }

    /// How long ago `then` was.
    pub(crate) fn since(self, then: Tick) -> Duration {
        Duration::from_nanos(time::nanos(time::since(self.now, then)))
    }

    /// `then` as RFC 3339, to the second: a tick and the coarse clock are not much finer.
    pub(crate) fn rfc3339(self, then: Tick) -> String {
        self.wall
            .checked_sub(self.since(then))
            .and_then(|wall| wall.duration_since(SystemTime::UNIX_EPOCH).ok())
            .and_then(|since_epoch| Timestamp::from_second(since_epoch.as_secs().cast_signed()).ok())
            .map(|stamp| stamp.to_string())
            .unwrap_or_default()
    }
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
    use lb_common::time::seconds;

    use super::*;

    #[test]
    fn a_tick_is_told_as_an_age_and_as_a_time_of_day() {
        let wall = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let clock = Clock { now: 10_000, wall };
        let then = 10_000 - seconds(60);
        assert_eq!(clock.since(then).as_secs(), 60);
        assert_eq!(clock.rfc3339(then), "2023-11-14T22:12:19Z");
    }
    #[test]
    fn the_offset_of_a_time_namespace_is_read() {
        let text = "monotonic           -86400         5\nboottime                 7         0\n";
        assert_eq!(offset(text), Some(-86_399_999_999_995));
        assert_eq!(offset(""), None);
    }
}
