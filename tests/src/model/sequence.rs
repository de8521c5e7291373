//! Sequences of steps: replayed on both sides, written and read.

use std::fmt;

use anyhow::{Context, Result};
use lb_common::host::{
    Outcome,
    verdict::{TC_SHOT, XDP_DROP},
};

use super::{Hook, Kernel, Reference, State, Step, kernel::RESTORE_BUCKETS};

/// Where the two sides parted.
#[derive(Clone, Debug)]
pub struct Disagreement {
    /// Number of the step, from 0.
    pub step: usize,
    /// What differed.
    pub text: String,
}

impl fmt::Display for Disagreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "step {}: {}", self.step, self.text)
    }
}

/// Both sides, from the same empty start.
pub struct Pair<'a> {
    kernel: &'a mut Kernel,
    /// The host's.
    pub reference: Reference,
    steps: usize,
}

impl<'a> Pair<'a> {
    /// Empties the kernel's maps.
    ///
    /// # Errors
    /// What the kernel answers.
    pub fn new(kernel: &'a mut Kernel) -> Result<Self> {
        kernel.reset()?;
        let reference = Reference::new(kernel.devices(), RESTORE_BUCKETS);
        Ok(Self { kernel, reference, steps: 0 })
    }

    /// Takes a step on both sides: what became of the packet if it is one, and where they differ if they do.
    ///
    /// # Errors
    /// What the kernel answers.
    pub fn take(&mut self, step: &Step) -> Result<(Option<Outcome>, Option<Disagreement>)> {
        let (kernel, host) = (self.kernel.take(step)?, self.reference.take(step));
        let number = self.steps;
        self.steps += 1;
        let (told, host_told) = (self.kernel.told(), self.reference.tables.told.take());
        if told != host_told {
            let text = format!("\n  kernel told {told:?}\n  host told   {host_told:?}");
            return Ok((host, Some(Disagreement { step: number, text })));
        }
        let differ = match (step, &kernel, &host) {
            (Step::Packet(packet), Some(kernel), Some(host)) => {
                let dropped = if packet.hook == Hook::Xdp { XDP_DROP } else { TC_SHOT };
                kernel.verdict != host.verdict || (kernel.verdict != dropped && kernel.frame != host.frame)
            }
            _ => false,
        };
        let disagreement =
            (differ).then(|| Disagreement { step: number, text: side_by_side(&kernel, &host) });
        Ok((host, disagreement))
    }

    /// Compares the maps.
    ///
    /// # Errors
    /// What the kernel answers.
    pub fn compare(&mut self) -> Result<Option<Disagreement>> {
        let (kernel, host) = (self.kernel.state()?, State::of(&self.reference.tables));
        let lines = kernel.differences(&host);
        Ok((!lines.is_empty()).then(|| Disagreement { step: self.steps, text: lines.join("\n") }))
    }
}

/// Replays a sequence from an empty start; where the sides part, if they do.
///
/// # Errors
/// What the kernel answers.
pub fn replay(kernel: &mut Kernel, steps: &[Step]) -> Result<Option<Disagreement>> {
    let mut pair = Pair::new(kernel)?;
    for step in steps {
        if let (_, Some(disagreement)) = pair.take(step)? {
            return Ok(Some(disagreement));
        }
    }
    pair.compare()
}

/// A sequence as it is kept: a line a step.
///
/// # Errors
/// None that a step can cause.
pub fn text(steps: &[Step]) -> Result<String> {
    let lines: Result<Vec<_>, _> = steps.iter().map(serde_json::to_string).collect();
    Ok(lines?.join("\n") + "\n")
}

/// Reads what [`text`] wrote. Empty lines and those that begin with `#` do not count.
///
/// # Errors
/// With the line that is no step.
pub fn parse(text: &str) -> Result<Vec<Step>> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|(number, line)| serde_json::from_str(line).with_context(|| format!("line {}", number + 1)))
        .collect()
}

fn side_by_side(kernel: &Option<Outcome>, host: &Option<Outcome>) -> String {
    let show = |outcome: &Option<Outcome>| {
        let Some(Outcome { verdict, frame }) = outcome else { return "nothing".into() };
        let words: Vec<String> =
            frame.chunks(2).map(|word| word.iter().map(|byte| format!("{byte:02x}")).collect()).collect();
        format!("verdict {} {}", *verdict as i32, words.join(" "))
    };
    let (kernel, host) = (show(kernel), show(host));
    let marks: String = kernel
        .chars()
        .zip(host.chars())
        .map(|(kernel, host)| if kernel == host { ' ' } else { '^' })
        .collect();
    format!("\n  kernel {kernel}\n  host   {host}\n         {}", marks.trim_end())
}
