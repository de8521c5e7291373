//! Token buckets: for the packets that Sluice itself originates, and for new flows.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{
    pipeline::Stage,
    time::{NANOS_PER_TICK, Tick, since},
};

/// Bucket of resets and ICMP errors.
pub const ANSWERS: u32 = 0;
/// Bucket of echo replies, apart so that a flood of pings does not silence the rest.
pub const ECHOES: u32 = 1;
/// Number of buckets.
pub const BUCKETS: u32 = 6;

/// The bucket of new flows. Connections that begin elsewhere and were taken over have their own, so that a flood of
/// SYNs does not hold them off. XDP and tcx have their own, because XDP leaves some new flows to tcx.
#[inline(always)]
pub const fn new_flows(stage: Stage, begins: bool) -> u32 {
    let first = if begins { 2 } else { 4 };
    if matches!(stage, Stage::Xdp) { first } else { first + 1 }
}

/// Ticks whose tokens a full bucket holds, about a second.
pub const FULL_TICKS: Tick = 60;

/// Answers (RST, ICMP errors) and echo replies that a CPU may send a tick, about 1,000 a second: what Linux allows ICMP
/// by default (`icmp_msgs_per_sec`).
pub const ANSWERS_PER_TICK: u32 = 17;

/// New flows that a CPU takes in a second unless the agent is told otherwise. They cost it a quarter of its time or less,
/// and are more than a server of ordinary connections ever sees.
pub const NEW_FLOWS_PER_SECOND: u32 = 200_000;

/// Most tokens a second that the arithmetic has room for.
pub const MOST_PER_SECOND: u32 = 1_000_000_000;

/// Tokens a tick that make `per_second`; at least one, unless it is 0, which is no limit.
pub const fn per_tick(per_second: u32) -> u32 {
    (per_second as u64 * NANOS_PER_TICK).div_ceil(1_000_000_000) as u32
}

/// One CPU's bucket, 8 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Bucket {
    /// Tokens spent and not yet regained; a fresh map (all zero) is a full bucket.
    pub spent: u32,
    /// When `spent` was last lowered.
    pub filled: Tick,
}

impl Bucket {
    /// Takes a token of the `per_tick` that are gained each tick; false where there is none.
    #[inline(always)]
    pub fn take(&mut self, per_tick: u32, now: Tick) -> bool {
        let most = per_tick * FULL_TICKS;
        let elapsed = since(now, self.filled);
        if elapsed > 0 {
            let gained = if elapsed > FULL_TICKS { most } else { elapsed * per_tick };
            // An agent that allows less than the one before finds more spent than there is.
            let spent = if self.spent > most { most } else { self.spent };
            self.spent = spent.saturating_sub(gained);
            self.filled = now;
        }
        if self.spent >= most {
            return false;
        }
        self.spent += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::seconds;

    #[test]
    fn a_burst_empties_the_bucket_and_time_refills_it() {
        let most = ANSWERS_PER_TICK * FULL_TICKS;
        let mut bucket = Bucket::default();
        let granted =
            |bucket: &mut Bucket, now| (0..most * 2).filter(|_| bucket.take(ANSWERS_PER_TICK, now)).count();
        assert_eq!(granted(&mut bucket, 1), most as usize);
        assert_eq!(granted(&mut bucket, 2), ANSWERS_PER_TICK as usize);
        assert_eq!(granted(&mut bucket, 100_000), most as usize);
    }

    #[test]
    fn a_fresh_bucket_is_refilled_on_a_machine_that_has_been_up_for_longer_than_a_year() {
        let now = seconds(500 * 86_400);
        let mut bucket = Bucket::default();
        while bucket.take(1, now) {}
        assert!(bucket.take(1, now + 1));
    }

    #[test]
    fn a_bucket_that_allows_less_than_it_did_is_full_again_after_a_second() {
        let mut bucket = Bucket { spent: 10_000, filled: 1 };
        assert!(!bucket.take(10, 1));
        assert!(bucket.take(10, 100), "a second later");
    }

    #[test]
    fn a_rate_is_never_less_than_asked_for_and_the_highest_fits() {
        assert_eq!([0, 1, 60, 1_000].map(per_tick), [0, 1, 2, 17]);
        let per_tick = per_tick(MOST_PER_SECOND);
        assert!(per_tick.checked_mul(FULL_TICKS).is_some());
    }
}
