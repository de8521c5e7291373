//! No more Events than an API server should be asked to keep.

use std::time::Duration;

use lb_model::object::Refusal;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};

/// As many at once as client-go's spam filter lets through (tools/record/events_cache.go) …
const BURST: u32 = 25;
/// … and then one in this time: every node of the cluster may have the same to say.
const PERIOD: Duration = Duration::from_secs(10);

/// A queue that gives out a burst, and then one in a while.
pub(super) struct Paced {
    queue: mpsc::Receiver<Refusal>,
    /// When a whole burst will be free again.
    full: Instant,
}

impl Paced {
    /// With a whole burst free.
    pub(super) fn new(queue: mpsc::Receiver<Refusal>) -> Self {
        Self { queue, full: Instant::now() }
    }

    /// The next, once it may be written; none when nobody announces any more.
    pub(super) async fn next(&mut self) -> Option<Refusal> {
        let refusal = self.queue.recv().await?;
        self.full = self.full.max(Instant::now()) + PERIOD;
        sleep_until(self.full - PERIOD * BURST).await;
        Some(refusal)
    }
}

#[cfg(test)]
mod tests {
    use lb_model::object::ObjectKey;
    use tokio::time::sleep;

    use super::*;

    /// After how many seconds each of `count` comes that are announced at once.
    async fn delays(queue: &mpsc::Sender<Refusal>, paced: &mut Paced, count: usize) -> Vec<u64> {
        let begun = Instant::now();
        let mut delays = Vec::new();
        for _ in 0..count {
            let refusal = Refusal {
                kind: "Service".to_owned(),
                object: ObjectKey::new("default", "web"),
                reason: String::new(),
                message: String::new(),
            };
            assert!(queue.try_send(refusal).is_ok());
        }
        for _ in 0..count {
            assert!(paced.next().await.is_some());
            delays.push(begun.elapsed().as_secs());
        }
        delays
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_goes_at_once_and_the_rest_one_by_one() {
        let (queue, announcements) = mpsc::channel(64);
        let mut paced = Paced::new(announcements);
        let mut expected = vec![0; 25];
        assert_eq!(delays(&queue, &mut paced, 28).await, [&expected[..], &[10, 20, 30]].concat());
        sleep(Duration::from_secs(20)).await;
        assert_eq!(delays(&queue, &mut paced, 3).await, [0, 0, 10], "two periods of silence, two at once");
        sleep(Duration::from_secs(86_400)).await;
        expected.push(10);
        assert_eq!(
            delays(&queue, &mut paced, 26).await,
            expected,
            "a day of silence is worth no more than a burst"
        );
    }
}
