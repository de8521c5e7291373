//! Regular expressions for paths.

use regex::{Regex, RegexBuilder};

use super::Captures;

/// The longest text of a pattern.
const LONGEST: usize = 1024;

/// The largest that a compiled pattern may be, in bytes: some ten times what long lists of names need.
const LARGEST: usize = 256 << 10;

/// A regular expression that a path must begin with; case-sensitive, and matched in linear time.
#[derive(Clone, Debug)]
pub struct Pattern {
    regex: Regex,
}

/// Why a text is no [`Pattern`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// It could slow down everybody's requests.
    #[error("it has {length} bytes; write at most {LONGEST}")]
    TooLong {
        /// Bytes of its text.
        length: usize,
    },
    /// It would fill memory.
    #[error("compiled it takes more than {LARGEST} bytes; write smaller repetitions")]
    TooLarge,
    /// No regular expression, or one with look-around or back references.
    #[error("{0}; look-around and back references are not supported, as no linear-time matcher has them")]
    Syntax(String),
}

impl Pattern {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// Where the text is no regular expression, or one too large.
    pub fn new(text: &str) -> Result<Self, PatternError> {
        if text.len() > LONGEST {
            return Err(PatternError::TooLong { length: text.len() });
        }
        let regex =
            RegexBuilder::new(text).size_limit(LARGEST).dfa_size_limit(LARGEST).build().map_err(|error| {
                match error {
                    regex::Error::CompiledTooBig(_) => PatternError::TooLarge,
                    // The parser draws the place under the pattern; its last line says what is wrong.
                    other => PatternError::Syntax(
                        other
                            .to_string()
                            .lines()
                            .last()
                            .unwrap_or_default()
                            .trim_start_matches("error: ")
                            .to_owned(),
                    ),
                }
            })?;
        Ok(Self { regex })
    }

    /// The text as it was written.
    pub fn as_str(&self) -> &str {
        self.regex.as_str()
    }

    /// True where the path begins with it.
    pub fn is_match(&self, path: &str) -> bool {
        // The first match is the leftmost one: where that begins later, none begins the path.
        self.regex.find(path).is_some_and(|found| found.start() == 0)
    }

    /// What its groups match, if it does.
    pub fn captures(&self, path: &str) -> Option<Captures> {
        let groups = self.regex.captures(path).filter(|groups| groups.get_match().start() == 0)?;
        Some(Captures::Groups(groups.iter().map(|group| group.map(|group| group.range())).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_begins_with_a_pattern_in_its_own_case() {
        let pattern = Pattern::new("/v[0-9]+|/latest").unwrap();
        assert!(pattern.is_match("/v12/x"));
        assert!(pattern.is_match("/latest"));
        assert!(!pattern.is_match("/x/latest"));
        assert!(!pattern.is_match("/V12"));
        assert_eq!(pattern.as_str(), "/v[0-9]+|/latest");
    }

    #[test]
    fn patterns_that_cost_too_much_are_refused() {
        assert_eq!(Pattern::new(&"a".repeat(1025)).unwrap_err(), PatternError::TooLong { length: 1025 });
        assert_eq!(Pattern::new("/(a{1000}){1000}").unwrap_err(), PatternError::TooLarge);
    }

    #[test]
    fn an_error_says_what_is_not_supported() {
        let error = Pattern::new("/a(?!b)").unwrap_err().to_string();
        assert!(error.starts_with("look-around, including"), "{error}");
        assert_eq!(
            Pattern::new("/a)|(/b").unwrap_err().to_string().split(';').next(),
            Some("unopened group")
        );
    }
}
