//! A deadline that is moved with every request, and nearly never reached.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep_until};

/// Moving the deadline costs no more than a store: the runtime's timer is set again only when it fires, or where the
/// deadline comes nearer.
#[derive(Debug, Default)]
pub(crate) struct LazyTimer {
    deadline: Option<Instant>,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl LazyTimer {
    /// Waits until `limit` after `now`.
    pub(crate) fn restart(&mut self, now: Instant, limit: Duration) {
        self.deadline = Some(now + limit);
    }

    /// Waits for nothing.
    pub(crate) fn stop(&mut self) {
        self.deadline = None;
    }

    /// True where a deadline is set.
    pub(crate) fn is_running(&self) -> bool {
        self.deadline.is_some()
    }

    /// Ready once the deadline has passed; pending for ever without one.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = self.deadline else { return Poll::Pending };
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if sleep.deadline() > deadline {
            sleep.as_mut().reset(deadline);
        }
        loop {
            ready!(sleep.as_mut().poll(cx));
            if sleep.deadline() >= deadline {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(deadline);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::time;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_deadline_that_was_moved_is_not_reached_early() {
        let start = Instant::now();
        let mut timer = LazyTimer::default();
        timer.restart(start, Duration::from_secs(5));
        let early = time::timeout(Duration::from_secs(4), poll_fn(|cx| timer.poll(cx))).await;
        assert!(early.is_err());
        timer.restart(Instant::now(), Duration::from_secs(5));
        poll_fn(|cx| timer.poll(cx)).await;
        assert_eq!(start.elapsed().as_secs(), 9);
    }

    #[tokio::test(start_paused = true)]
    async fn a_nearer_deadline_is_kept() {
        let start = Instant::now();
        let mut timer = LazyTimer::default();
        timer.restart(start, Duration::from_secs(60));
        let _ = time::timeout(Duration::from_secs(1), poll_fn(|cx| timer.poll(cx))).await;
        timer.restart(start, Duration::from_secs(2));
        poll_fn(|cx| timer.poll(cx)).await;
        assert_eq!(start.elapsed().as_secs(), 2);
    }
}
