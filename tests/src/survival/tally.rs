//! What the load did, and what it lost.

/// Counts of everything that the load did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Long-lived connections that were reset, stalled or carried a wrong byte.
    pub streams_broken: u64,
    /// Bytes that long-lived connections moved, each compared with what was sent.
    pub bytes: u64,
    /// Requests that were answered, over new and over long-lived connections.
    pub requests: u64,
    /// New connections that were opened.
    pub connections: u64,
    /// New connections that failed.
    pub connections_failed: u64,
    /// New connections whose answer took longer than TCP's first retransmission: a packet was lost, and TCP saved it.
    pub connections_delayed: u64,
    /// Datagrams that were sent.
    pub datagrams: u64,
    /// Datagrams that nobody answered.
    pub datagrams_lost: u64,
}

impl Tally {
    /// True where nothing was lost, nor saved by TCP alone.
    pub fn is_whole(&self) -> bool {
        self.streams_broken + self.connections_failed + self.connections_delayed + self.datagrams_lost == 0
    }

    /// What happened since an earlier count.
    pub fn since(&self, earlier: &Self) -> Self {
        self.combine(earlier, |now, then| now - then)
    }

    /// The sum of two counts.
    pub fn plus(&self, other: &Self) -> Self {
        self.combine(other, |a, b| a + b)
    }

    fn combine(&self, other: &Self, with: fn(u64, u64) -> u64) -> Self {
        Self {
            streams_broken: with(self.streams_broken, other.streams_broken),
            bytes: with(self.bytes, other.bytes),
            requests: with(self.requests, other.requests),
            connections: with(self.connections, other.connections),
            connections_failed: with(self.connections_failed, other.connections_failed),
            connections_delayed: with(self.connections_delayed, other.connections_delayed),
            datagrams: with(self.datagrams, other.datagrams),
            datagrams_lost: with(self.datagrams_lost, other.datagrams_lost),
        }
    }
}
