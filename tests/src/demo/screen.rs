//! What the demo prints.

use std::{cell::Cell, io::IsTerminal, time::Instant};

/// Standard output, with a little colour on a terminal (<https://no-color.org>).
pub(super) struct Screen {
    colour: bool,
    last: Cell<Instant>,
}

const BOLD: &str = "1";
const GREEN: &str = "32";
const DIM: &str = "2";

impl Screen {
    pub(super) fn new() -> Self {
        let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self { colour, last: Cell::new(Instant::now()) }
    }

    /// A heading.
    pub(super) fn title(&self, text: &str) {
        println!("\n{}", self.paint(BOLD, text));
    }

    /// Something that was done, and how long it took.
    pub(super) fn done(&self, text: &str) {
        let seconds = self.last.replace(Instant::now()).elapsed().as_secs_f64();
        println!("  {} {text} {}", self.paint(GREEN, "✓"), self.paint(DIM, &format!("({seconds:.1} s)")));
    }

    /// Another program's words.
    pub(super) fn quote(&self, text: &str) {
        text.trim_end().lines().for_each(|line| println!("  {}", line));
    }

    /// Text as it is.
    pub(super) fn plain(&self, text: &str) {
        println!("{text}");
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}
