//! Sums up what the test programs report.

use std::fmt;

/// How many tests passed and failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    passed: u64,
    failed: u64,
}

impl Tally {
    /// Takes one line of a test program's output. Only lines like
    /// `test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out` count.
    pub(crate) fn read(&mut self, line: &str) {
        let Some((_, counts)) = line.strip_prefix("test result: ").and_then(|rest| rest.split_once(". "))
        else {
            return;
        };
        for (count, what) in counts.split("; ").filter_map(|part| part.split_once(' ')) {
            let Ok(count) = count.parse::<u64>() else { continue };
            match what {
                "passed" => self.passed += count,
                // An ignored test proves nothing and must not look green.
                "failed" | "ignored" => self.failed += count,
                _ => {}
            }
        }
    }

    /// What another group has counted by itself.
    pub(crate) const fn new(passed: u64, failed: u64) -> Self {
        Self { passed, failed }
    }

    /// What the last line of another `cargo xtask test` says, if it came to that line.
    pub(crate) fn of_last_line(output: &str) -> Option<Self> {
        let (passed, failed) = output.lines().last()?.strip_suffix(" failed")?.split_once(" passed, ")?;
        Some(Self { passed: passed.parse().ok()?, failed: failed.parse().ok()? })
    }

    /// Counts a group as one failure if it failed with no failed test: it did not compile, or a program died.
    pub(crate) fn finish(mut self, group: &str, success: bool) -> Self {
        if !success && self.failed == 0 {
            eprintln!(
                "error: {group} tests: did not compile, or a test program died; counted as one failure"
            );
            self.failed = 1;
        }
        self
    }

    /// Counts a group in which nothing ran as one failure, unless a filter was given.
    pub(crate) fn not_empty(mut self, filter: Option<&str>, group: &str) -> Self {
        if self == Self::default() && filter.is_none() {
            eprintln!("error: {group} group: no test ran; counted as one failure");
            self.failed = 1;
        }
        self
    }

    /// Adds another group's counts.
    pub(crate) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }

    /// True if all is well.
    pub(crate) fn is_green(self) -> bool {
        self.failed == 0
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[&str]) -> Tally {
        let mut tally = Tally::default();
        lines.iter().for_each(|line| tally.read(line));
        tally
    }

    const OK: &str =
        "test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 7 filtered out; finished in 0.01s";
    const FAILED: &str =
        "test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s";

    #[test]
    fn results_of_all_programs_are_summed() {
        assert_eq!(read(&["running 3 tests", OK, FAILED]).to_string(), "4 passed, 2 failed");
    }

    #[test]
    fn an_ignored_test_is_a_failure() {
        let tally = read(&["test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out"]);
        assert!(!tally.is_green());
    }

    #[test]
    fn a_program_that_dies_without_a_result_is_a_failure() {
        assert_eq!(read(&[OK]).finish("unit", false).to_string(), "3 passed, 1 failed");
        assert_eq!(read(&[FAILED]).finish("unit", false).to_string(), "1 passed, 2 failed");
    }

    #[test]
    fn the_last_line_of_another_run_is_read_as_it_is_written() {
        let tally = read(&[OK, FAILED]);
        assert_eq!(Tally::of_last_line(&format!("{OK}\n{tally}\n")), Some(tally));
        assert_eq!(Tally::of_last_line("4 passed, 2 failed\nerror: no space left"), None);
        assert_eq!(Tally::of_last_line(""), None);
    }

    #[test]
    fn a_group_without_a_test_is_a_failure_unless_filtered() {
        assert!(!Tally::default().not_empty(None, "kernel").is_green());
        assert!(Tally::default().not_empty(Some("name"), "kernel").is_green());
        assert!(read(&[OK]).not_empty(None, "kernel").is_green());
    }
}
