//! Waiting for a condition, with a deadline.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How long anything in a test may take that takes milliseconds on an idle machine.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// Asks until the answer is there.
///
/// # Errors
/// Where it is not after [`DEADLINE`]; `what` says what was missed.
pub fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> Result<T> {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return Ok(answer);
        }
        if start.elapsed() > DEADLINE {
            bail!("waited {} s in vain: {what}", DEADLINE.as_secs());
        }
        pause(Duration::from_millis(5));
    }
}

/// As [`until`] for a condition that is true or not.
///
/// # Errors
/// As [`until`].
pub fn until_true(what: &str, mut ask: impl FnMut() -> bool) -> Result<()> {
    until(what, || ask().then_some(()))
}

#[expect(clippy::disallowed_methods, reason = "the one place that polls")]
fn pause(time: Duration) {
    std::thread::sleep(time);
}
