//! Waiting for a condition, with a deadline.

use std::{
    sync::LazyLock,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

/// How long anything in a test may take that takes milliseconds on an idle machine.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// The variable that names another deadline, in seconds, on a machine that is emulated.
pub const DEADLINE_VARIABLE: &str = "SLUICE_TEST_DEADLINE";

fn deadline() -> Duration {
    static SECONDS: LazyLock<Option<u64>> =
        LazyLock::new(|| std::env::var(DEADLINE_VARIABLE).ok()?.parse().ok());
    SECONDS.map_or(DEADLINE, Duration::from_secs)
}

/// Asks until the answer is there.
///
/// # Errors
/// Where it is not after [`DEADLINE`], or what [`DEADLINE_VARIABLE`] says; `what` says what was missed.
pub fn until<T>(what: &str, ask: impl FnMut() -> Option<T>) -> Result<T> {
    until_every(Duration::from_millis(5), what, ask)
}

fn until_every<T>(interval: Duration, what: &str, mut ask: impl FnMut() -> Option<T>) -> Result<T> {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return Ok(answer);
        }
        if start.elapsed() > deadline() {
            bail!("waited {} s in vain: {what}", deadline().as_secs());
        }
        pause(interval);
    }
}

/// As [`until`] for a condition that is true or not.
///
/// # Errors
/// As [`until`].
pub fn until_true(what: &str, mut ask: impl FnMut() -> bool) -> Result<()> {
    until(what, || ask().then_some(()))
}

/// As [`until_true`] among tasks of one thread, which have to run meanwhile.
///
/// # Panics
/// Where it is not true after [`DEADLINE`].
pub async fn until_async(what: &str, mut ask: impl FnMut() -> bool) {
    let asking = async {
        while !ask() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let answer = tokio::time::timeout(deadline(), asking).await;
    assert!(answer.is_ok(), "waited {} s in vain: {what}", deadline().as_secs());
}

/// As [`until_true`] for a benchmark, which asks more often.
///
/// # Errors
/// As [`until`].
pub fn until_true_every(interval: Duration, what: &str, mut ask: impl FnMut() -> bool) -> Result<()> {
    until_every(interval, what, || ask().then_some(()))
}

/// Lets time pass between the rounds of a benchmark; nothing that a test waits for.
#[expect(clippy::disallowed_methods, reason = "the one place that polls")]
pub fn pause(time: Duration) {
    std::thread::sleep(time);
}
