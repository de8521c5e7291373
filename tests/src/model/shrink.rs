//! A shorter sequence that still fails.

use anyhow::Result;

use super::{Kernel, Step, replay};

/// Replays at most: a sequence that fails after many steps must not be shrunk forever.
const MOST_REPLAYS: usize = 4000;

/// Drops steps as long as the two sides still part: runs of them first, then one by one.
///
/// # Errors
/// What the kernel answers.
pub fn shrink(kernel: &mut Kernel, mut steps: Vec<Step>) -> Result<Vec<Step>> {
    if let Some(disagreement) = replay(kernel, &steps)? {
        steps.truncate(disagreement.step + 1);
    }
    let mut replays = 0;
    let mut run = steps.len().div_ceil(2);
    while run > 0 {
        let mut at = 0;
        let before = steps.len();
        while at < steps.len() && replays < MOST_REPLAYS {
            let rest = [&steps[..at], &steps[(at + run).min(steps.len())..]].concat();
            replays += 1;
            if replay(kernel, &rest)?.is_some() {
                steps = rest;
            } else {
                at += run;
            }
        }
        // Once more at the finest where that helped: steps may have become needless.
        run = if run == 1 && steps.len() < before { 1 } else { run / 2 };
    }
    Ok(steps)
}
