//! Ticks as ages and as times of day.

use std::time::{Duration, SystemTime};

use k8s_openapi::jiff::Timestamp;
use lb_common::time::{self, Tick};

use crate::dataplane::clock;

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
        Self { now: clock::now(), wall: SystemTime::now() }
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
}
