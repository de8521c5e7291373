//! A token bucket for the packets that Sluice itself originates.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::time::{Tick, since};

/// Bucket of resets and ICMP errors.
pub const ANSWERS: u32 = 0;
/// Bucket of echo replies, apart so that a flood of pings does not silence the rest.
pub const ECHOES: u32 = 1;
/// Number of buckets.
pub const BUCKETS: u32 = 2;

/// Answers (RST, ICMP errors) a CPU may send in a burst: what Linux allows ICMP by default (`icmp_msgs_burst` is 50,
/// `icmp_msgs_per_sec` 1000) with room for a second's worth.
pub const BURST: u32 = 1000;
/// Tokens gained each tick: about 1,000 a second.
pub const PER_TICK: u32 = 17;

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
    /// Takes a token; false where there is none.
    #[inline(always)]
    pub fn take(&mut self, now: Tick) -> bool {
        let elapsed = since(now, self.filled);
        if elapsed > 0 {
            // Past a minute the product would only saturate further.
            let gained = if elapsed > 3600 { BURST } else { elapsed * PER_TICK };
            self.spent = self.spent.saturating_sub(gained);
            self.filled = now;
        }
        if self.spent >= BURST {
            return false;
        }
        self.spent += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_empties_the_bucket_and_time_refills_it() {
        let mut bucket = Bucket::default();
        let granted = (0..BURST * 2).filter(|_| bucket.take(1)).count();
        assert_eq!(granted, BURST as usize);
        let granted = (0..BURST).filter(|_| bucket.take(2)).count();
        assert_eq!(granted, PER_TICK as usize);
        assert_eq!((0..BURST * 2).filter(|_| bucket.take(100_000)).count(), BURST as usize);
    }
}
